"""Let the unit tests import the pure modules without running the addon's __init__."""

import sys
import types
from pathlib import Path

ADDON = Path(__file__).resolve().parent.parent / "missed_call_crm"

if "missed_call_crm" not in sys.modules:
    stub = types.ModuleType("missed_call_crm")
    stub.__path__ = [str(ADDON)]
    sys.modules["missed_call_crm"] = stub
