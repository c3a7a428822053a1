import {Component, onWillDestroy, onWillStart, useState} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";
import {useRecordObserver} from "@web/model/relational_model/utils";
import {standardFieldProps} from "@web/views/fields/standard_field_props";

const WARN_MINUTES = 120;
const TICK_MS = 15000;

/**
 * One timer for all pills on the page, running only while there are any.
 * The time is that of the browser's monotonic clock: it measures how long ago the
 * server told the minutes left, so a wrong clock of the device does no harm.
 */
const clock = {
    listeners: new Set(),
    timer: null,
    now: () => performance.now(),
    add(listener) {
        this.listeners.add(listener);
        this.timer ??= setInterval(() => {
            for (const each of this.listeners) {
                each();
            }
        }, TICK_MS);
    },
    remove(listener) {
        this.listeners.delete(listener);
        if (!this.listeners.size) {
            clearInterval(this.timer);
            this.timer = null;
        }
    },
};

/** "0 h 05 m", "1 h 22 m", "3 d 4 h": what a deadline is spoken of in. */
export function formatMinutes(minutes) {
    const days = Math.floor(minutes / 1440);
    const hours = Math.floor(minutes / 60);
    if (days >= 3) {
        return _t("%(days)s d %(hours)s h", {days, hours: hours % 24});
    }
    const rest = String(minutes % 60).padStart(2, "0");
    return _t("%(hours)s h %(minutes)s m", {hours, minutes: rest});
}

/** Like `formatMinutes`, without hours where there are none. */
function formatDelay(minutes) {
    return minutes < 60 ? _t("%s m", minutes) : formatMinutes(minutes);
}

/**
 * What the pill says and how it looks.
 *
 * @param {string} state value of the state or resolution field at load
 * @param {number|false} left minutes to the deadline (negative: over) as of now; for
 *     a client who was reached: at that moment
 * @param {number|false} after minutes from the miss to the contact
 */
export function describeTimeLeft(state, left, after) {
    if (["todo", "overdue", "pending", "unfixed"].includes(state)) {
        if (left === false) {
            return null;
        }
        if (left < 0) {
            return {
                classes: "o_pbx_over text-bg-danger",
                icon: "fa-exclamation-triangle",
                text: _t("%s over", formatMinutes(-left)),
            };
        }
        const soon = left < WARN_MINUTES;
        return {
            classes: soon
                ? "o_pbx_soon text-bg-warning"
                : "o_pbx_calm bg-secondary-subtle text-reset",
            icon: soon ? "fa-bell" : "fa-clock-o",
            text: formatMinutes(left),
        };
    }
    if (state === "late") {
        return {
            classes: "o_pbx_late bg-warning-subtle text-warning-emphasis",
            icon: "fa-hourglass-half",
            text:
                left === false
                    ? _t("late")
                    : _t("%s late", formatMinutes(-Math.min(left, 0))),
        };
    }
    if (["done", "fixed"].includes(state)) {
        return {
            classes: "o_pbx_done bg-success-subtle text-success-emphasis",
            icon: "fa-check",
            text: after === false ? _t("reached") : _t("after %s", formatDelay(after)),
        };
    }
    return null;
}

export class CallbackTimeLeftField extends Component {
    static template = "missed_call_crm.CallbackTimeLeftField";
    static props = {
        ...standardFieldProps,
        stateField: {type: String, optional: true},
        afterField: {type: String, optional: true},
    };
    static defaultProps = {stateField: "state", afterField: "reached_after"};

    setup() {
        this.view = useState({left: false, after: false, state: ""});
        this.told = {left: false, at: 0};
        useRecordObserver((record) => {
            const {name, stateField, afterField} = this.props;
            this.told = {left: record.data[name], at: clock.now()};
            this.view.state = record.data[stateField];
            this.view.after = record.data[afterField] ?? false;
            this.tick();
        });
        const tick = () => this.tick();
        onWillStart(() => clock.add(tick));
        onWillDestroy(() => clock.remove(tick));
    }

    get isRunning() {
        return ["todo", "overdue", "pending", "unfixed"].includes(this.view.state);
    }

    get pill() {
        return describeTimeLeft(this.view.state, this.view.left, this.view.after);
    }

    tick() {
        const {left, at} = this.told;
        const passed = Math.floor((clock.now() - at) / 60000);
        this.view.left = left !== false && this.isRunning ? left - passed : left;
    }
}

export const callbackTimeLeftField = {
    component: CallbackTimeLeftField,
    displayName: _t("Time Left"),
    supportedTypes: ["integer"],
    fieldDependencies: ({options}) => [
        {name: options.state_field || "state", type: "selection", readonly: true},
        {name: options.after_field || "reached_after", type: "integer", readonly: true},
    ],
    extractProps: ({options}) => ({
        stateField: options.state_field,
        afterField: options.after_field,
    }),
    listViewWidth: [165, 165],
};

registry.category("fields").add("callback_time_left", callbackTimeLeftField);
