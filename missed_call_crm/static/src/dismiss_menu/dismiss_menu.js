import {Component, onWillUnmount} from "@odoo/owl";
import {Dropdown} from "@web/core/dropdown/dropdown";
import {useDropdownState} from "@web/core/dropdown/dropdown_hooks";
import {DropdownItem} from "@web/core/dropdown/dropdown_item";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";
import {useService} from "@web/core/utils/hooks";
import {standardWidgetProps} from "@web/views/widgets/standard_widget_props";

const UNDO_MS = 10000;

/**
 * The reasons why nobody needs to call back, one click each; for ten seconds it can
 * be undone. "Other" asks for a note. Works on callbacks and on misses.
 */
export class DismissMenu extends Component {
    static template = "missed_call_crm.DismissMenu";
    static components = {Dropdown, DropdownItem};
    static props = {
        ...standardWidgetProps,
        stateField: {type: String},
    };

    setup() {
        // not useService: "Undo" is clicked when the row and its menu are gone
        this.orm = this.env.services.orm;
        this.action = useService("action");
        this.notification = useService("notification");
        this.dropdown = useDropdownState();
        this.onKeydown = this.onKeydown.bind(this);
        onWillUnmount(() => this.listen(false));
    }

    get reasons() {
        return [
            ["spam", _t("Spam")],
            ["wrong_number", _t("Wrong number")],
            ["handled_otherwise", _t("Handled otherwise")],
            ["duplicate", _t("Duplicate")],
            ["other", _t("Other, with a note")],
        ];
    }

    get isOwed() {
        const {record, stateField} = this.props;
        return ["todo", "overdue", "pending", "unfixed"].includes(
            record.data[stateField]
        );
    }

    get client() {
        return this.props.record.data.client_display || "";
    }

    /** The keys 1 to 5 choose a reason while the menu is open, wherever the focus. */
    listen(isOpen) {
        const change = isOpen ? "addEventListener" : "removeEventListener";
        window[change]("keydown", this.onKeydown, {capture: true});
    }

    onKeydown(ev) {
        const reason = this.reasons[Number(ev.key) - 1];
        if (reason) {
            ev.preventDefault();
            ev.stopPropagation();
            this.dropdown.close();
            this.choose(reason[0]);
        }
    }

    async choose(reason) {
        const {model, resModel, resId} = this.props.record;
        const ids = [resId];
        const reload = () => model.load();
        if (reason === "other") {
            this.action.doAction(
                await this.orm.call(resModel, "action_open_dismiss", [ids]),
                {additionalContext: {default_reason: "other"}, onClose: reload}
            );
            return;
        }
        await this.orm.call(resModel, "action_dismiss", [ids, reason]);
        await reload();
        const close = this.notification.add(
            _t("%s: counted as dismissed, never as fixed.", this.client),
            {
                type: "success",
                autocloseDelay: UNDO_MS,
                buttons: [
                    {
                        name: _t("Undo"),
                        primary: true,
                        onClick: async () => {
                            close();
                            await this.orm.call(resModel, "action_reopen", [ids]);
                            await reload();
                        },
                    },
                ],
            }
        );
    }
}

registry.category("view_widgets").add("pbx_dismiss", {
    component: DismissMenu,
    fieldDependencies: ({options}) => [
        {name: options.state_field || "state", type: "selection", readonly: true},
        {name: "client_display", type: "char", readonly: true},
    ],
    extractProps: ({options}) => ({
        stateField: options.state_field || "state",
    }),
    listViewWidth: 45,
});
