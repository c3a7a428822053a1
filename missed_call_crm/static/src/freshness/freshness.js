import {Component, onWillStart, useEffect, useState} from "@odoo/owl";
import {deserializeDateTime, toLocaleDateTimeString} from "@web/core/l10n/dates";
import {_t} from "@web/core/l10n/translation";
import {useService} from "@web/core/utils/hooks";

const {DateTime} = luxon;

const RELOAD_MS = 60000;

/**
 * The phone systems and how old their data is, asked again every minute.
 *
 * @returns {object} reactive, with `sources`: what `pbx.backend.get_freshness` gives,
 *     the stalest first; null while or if it is not known
 */
export function useFreshness() {
    const orm = useService("orm");
    const state = useState({sources: null});
    const load = async () => {
        // a failed look at the freshness must not take the list away
        state.sources = await orm.silent
            .call("pbx.backend", "get_freshness", [])
            .catch(() => null);
    };
    onWillStart(load);
    useEffect(
        () => {
            const timer = setInterval(load, RELOAD_MS);
            return () => clearInterval(timer);
        },
        () => []
    );
    return state;
}

/**
 * How old the data is, above every list: an empty list means something only if it is
 * fresh. With several phone systems the stalest one speaks.
 */
export class PbxFreshness extends Component {
    static template = "missed_call_crm.Freshness";
    static props = {sources: {type: [Array, {value: null}], optional: true}};

    setup() {
        this.action = useService("action");
    }

    get worst() {
        return this.props.sources?.[0];
    }

    get upTo() {
        if (!this.worst?.up_to) {
            return "";
        }
        const moment = deserializeDateTime(this.worst.up_to);
        const showDate = !moment.hasSame(DateTime.now(), "day");
        return toLocaleDateTimeString(moment, {showDate, showTime: true});
    }

    get ago() {
        return this.worst?.up_to
            ? deserializeDateTime(this.worst.up_to).toRelative({base: DateTime.now()})
            : "";
    }

    get headline() {
        if (!this.worst.up_to) {
            return _t("%s has given no data yet.", this.worst.name);
        }
        return _t("%s has given no data since", this.worst.name);
    }

    open() {
        const single = this.props.sources.length === 1;
        this.action.doAction(
            single
                ? {
                      type: "ir.actions.act_window",
                      res_model: "pbx.backend",
                      res_id: this.worst.id,
                      views: [[false, "form"]],
                  }
                : "missed_call_crm.pbx_backend_action"
        );
    }
}
