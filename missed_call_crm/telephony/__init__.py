"""What a call, a miss and a callback are: plain Python, without Odoo."""
