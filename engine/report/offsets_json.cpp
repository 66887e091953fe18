#include "engine/io/json.h"
#include "engine/report/offsets.h"

namespace fp {

static void put_group(JsonWriter out, const GroupOffsets::OfGroup& g, const std::vector<std::string>& classes) {
    out("images", g.images);
    JsonWriter offsets = inside(out, "offsets");
    for (size_t c = 0; c < classes.size(); ++c) offsets(classes[c].c_str(), g.offsets[c]);
    out.if_any("reason", g.reason);
    if (!g.reason.empty()) return;
    JsonWriter accuracy = inside(out, "balanced_accuracy");
    accuracy("before", g.before);
    accuracy("after", g.after);
}

void fields(const WithOffsets& w, JsonWriter& out) {
    const GroupOffsets& o = w.offsets;
    out("attribute", o.attribute);
    out("objective", std::string(kOffsetsObjective));
    out("needs", std::string(kOffsetsNeedGroup));
    JsonWriter validation = inside(out, "validation");
    validation("images", o.images);
    validation.if_any("data", o.data);
    validation.if_any("split_hash", o.split_hash);
    JsonWriter groups = inside(out, "groups");
    for (const GroupOffsets::OfGroup& g : o.groups) put_group(inside(groups, g.name.c_str()), g, o.classes);
    out("report", w.evaluation);
}

}  // namespace fp
