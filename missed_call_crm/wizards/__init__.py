from . import base_partner_merge
from . import pbx_backend_period
from . import pbx_callback_dismiss
