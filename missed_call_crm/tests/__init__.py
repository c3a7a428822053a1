from . import test_pull_lab
from . import test_callbacks
from . import test_follow_up
from . import test_responsible
from . import test_pull
from . import test_access
from . import test_models
from . import test_views
