"""Print "passed failed skipped" of a JUnit result file."""

import sys
import xml.etree.ElementTree as ET

cases = ET.parse(sys.argv[1]).getroot().findall(".//testcase")
failed = sum(
    1
    for case in cases
    if case.find("failure") is not None or case.find("error") is not None
)
skipped = sum(1 for case in cases if case.find("skipped") is not None)
print(len(cases) - failed - skipped, failed, skipped)
