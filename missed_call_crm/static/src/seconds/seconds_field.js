import {Component} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";
import {standardFieldProps} from "@web/views/fields/standard_field_props";

/** Seconds inside a call as "0:21"; what a source cannot tell is "–", never 0. */
export function formatSeconds(seconds) {
    if (seconds === false || seconds === null || seconds === undefined) {
        return "–";
    }
    const whole = Math.round(seconds);
    const pad = (number) => String(number).padStart(2, "0");
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
    const tail = pad(whole % 60);
    return hours ? `${hours}:${pad(minutes)}:${tail}` : `${minutes}:${tail}`;
}

export class CallSecondsField extends Component {
    static template = "missed_call_crm.CallSecondsField";
    static props = {...standardFieldProps};

    get text() {
        return formatSeconds(this.props.record.data[this.props.name]);
    }
}

registry.category("fields").add("call_seconds", {
    component: CallSecondsField,
    displayName: _t("Seconds of a Call"),
    supportedTypes: ["integer"],
    listViewWidth: [50, 80],
});
registry.category("formatters").add("call_seconds", formatSeconds);
