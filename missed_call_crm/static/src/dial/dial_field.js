import {Component} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";
import {standardFieldProps} from "@web/views/fields/standard_field_props";

/**
 * A number as the one big button that dials it (`tel:`).
 *
 * Options: `short` shows "Call" in place of the number; `state_field` names the field
 * that says whether a call is owed; `left_field` the minutes left: only overdue and
 * soon due calls take the primary colour.
 */
export class DialField extends Component {
    static template = "missed_call_crm.DialField";
    static props = {
        ...standardFieldProps,
        short: {type: Boolean, optional: true},
        stateField: {type: String, optional: true},
        leftField: {type: String, optional: true},
    };

    get number() {
        return this.props.record.data[this.props.name] || "";
    }

    get href() {
        // only what belongs in a number goes into the address
        return `tel:${this.number.replace(/[^\d+*#]/g, "")}`;
    }

    get isOwed() {
        const {record, stateField} = this.props;
        const open = ["todo", "overdue", "pending", "unfixed"];
        return !stateField || open.includes(record.data[stateField]);
    }

    get isUrgent() {
        const {record, leftField} = this.props;
        return !leftField || record.data[leftField] < 120;
    }

    get label() {
        return _t("Call %s", this.number);
    }
}

registry.category("fields").add("pbx_dial", {
    component: DialField,
    displayName: _t("Dial Button"),
    supportedTypes: ["char"],
    fieldDependencies: ({options}) =>
        [
            [options.state_field, "selection"],
            [options.left_field, "integer"],
        ]
            .filter(([name]) => name)
            .map(([name, type]) => ({name, type, readonly: true})),
    extractProps: ({options}) => ({
        short: Boolean(options.short),
        stateField: options.state_field,
        leftField: options.left_field,
    }),
    listViewWidth: [85, 85],
    label: false,
});
