# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import fields, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Command

from odoo.addons.base.models.res_users import check_identity

from .pbx_backend import MANAGER, SYSTEM

PUSHER = "missed_call_crm.group_push"
_MAX_ID = 2**31 - 1


class PbxBackend(models.Model):
    """Phone systems that push: who may, and the way in."""

    _inherit = "pbx.backend"

    pusher_ids = fields.Many2many(
        "res.users",
        relation="pbx_backend_pusher_rel",
        string="May Push",
        groups=SYSTEM,
        copy=False,
        help="Users whose key lets an integration push calls of this phone system. "
        "They need the right “Push calls” and nothing else; managers may push as well.",
    )

    def ingest(self, records):
        """Take calls an integration pushes; documented in the README.

        Callable over JSON-2 (``POST /json/2/pbx.backend/ingest`` with ``ids`` and
        ``records``) and XML-RPC. Sending the same list again changes nothing, the
        same ``call_key`` with other content replaces the call. An empty list says
        that the sender is alive: the data is fresh.

        :param list records: at most 10,000 dicts and 16 MiB, one per call
        :return: ``{"accepted": n, "unchanged": n, "rejected": [{"index": i, "error":
            "…"}]}``; *accepted* are new or changed. Rejected ones are kept with the
            reason among the phone system's records.
        :raises AccessError: for who may not push to this phone system
        :raises UserError: if the list as a whole is refused; nothing was taken then
        """
        if len(self) != 1:
            raise UserError(self.env._("Name one phone system to push to."))
        backend_sudo = self._check_may_push()
        if backend_sudo.provider != "push":
            raise UserError(
                self.env._(
                    "%(name)s does not take pushed calls: it is pulled.",
                    name=backend_sudo.name,
                )
            )
        if not backend_sudo.active:
            raise UserError(self.env._("%(name)s is archived.", name=backend_sudo.name))
        from ..intake import push

        return push.ingest(backend_sudo.with_env(self.env), records)

    def _check_may_push(self):
        """This phone system, readable, if the user may push to it.

        One that does not exist is refused in the same words as one that is not his.

        :raises AccessError: else
        """
        user = self.env.user
        is_id = type(self.id) is int and 0 < self.id <= _MAX_ID
        # The sender may read nothing, not even its own phone system.
        backend_sudo = self.sudo().exists() if is_id else self.browse().sudo()
        if backend_sudo:
            if self.env.su:
                return backend_sudo
            if user.has_group(PUSHER) and user in backend_sudo.pusher_ids:
                return backend_sudo
            is_manager = user.has_group(MANAGER) or user.has_group(SYSTEM)
            if is_manager and self.has_access("read"):
                return backend_sudo
        raise AccessError(self.env._("You may not push calls to this phone system."))

    @check_identity
    def action_new_push_key(self):
        """A key for an integration that can do nothing but push to this phone system.

        It belongs to a user of its own, who cannot sign in; made at the first time.
        """
        self.ensure_one()
        if not self.env.user.has_group(SYSTEM):
            raise AccessError(self.env._("Only system administrators may make keys."))
        self.check_access("write")
        user = self._get_push_user()
        name = self.env._("Push to %(name)s", name=self.name)
        # A key without end is for administrators to give: this is one.
        keys = self.env["res.users.apikeys"].with_user(user).sudo()
        return {
            "type": "ir.actions.act_window",
            "res_model": "res.users.apikeys.show",
            "name": self.env._("API Key Ready"),
            "views": [(False, "form")],
            "target": "new",
            "context": {"default_key": keys._generate("rpc", name, None)},
        }

    def _get_push_user(self):
        """The user an integration pushes as, with no right but that."""
        self.ensure_one()
        login = f"push-{self.id}"
        users = self.env["res.users"].sudo().with_context(no_reset_password=True)
        user = users.with_context(active_test=False).search([("login", "=", login)])
        if not user:
            user = users.create(
                {
                    "name": self.env._("Push: %(name)s", name=self.name),
                    "login": login,
                    "company_id": self.company_id.id,
                    "company_ids": [Command.set(self.company_id.ids)],
                    "group_ids": [Command.set(self.env.ref(PUSHER).ids)],
                }
            )
        self.pusher_ids |= user
        return user
