import {Component} from "@odoo/owl";
import {registry} from "@web/core/registry";
import {KanbanRenderer} from "@web/views/kanban/kanban_renderer";
import {kanbanView} from "@web/views/kanban/kanban_view";
import {ListRenderer} from "@web/views/list/list_renderer";
import {listView} from "@web/views/list/list_view";

import {PbxFreshness, useFreshness} from "@missed_call_crm/freshness/freshness";

/** Praises only when the data is fresh; see `pbx_praise` in the actions' context. */
class PbxEmptyState extends Component {
    static template = "missed_call_crm.EmptyState";
    static props = {sources: {type: [Array, {value: null}], optional: true}};
}

const withFreshness = (Renderer) =>
    class extends Renderer {
        static components = {...Renderer.components, PbxFreshness, PbxEmptyState};

        setup() {
            super.setup();
            this.freshness = useFreshness();
        }

        get praises() {
            return Boolean(this.props.list.context.pbx_praise);
        }
    };

export class PbxListRenderer extends withFreshness(ListRenderer) {
    static template = "missed_call_crm.ListRenderer";
}

export class PbxKanbanRenderer extends withFreshness(KanbanRenderer) {
    static template = "missed_call_crm.KanbanRenderer";
}

registry.category("views").add("pbx_list", {...listView, Renderer: PbxListRenderer});
registry.category("views").add("pbx_kanban", {
    ...kanbanView,
    Renderer: PbxKanbanRenderer,
});
