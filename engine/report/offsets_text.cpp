#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/report/offsets.h"
#include "engine/report/text_rows.h"

namespace fp {

WithOffsets judge_with_offsets(const GroupOffsets& offsets,
                               const Predictions& judged,
                               const std::vector<std::string>& attributes,
                               const EvaluateOptions& options) {
    return {.offsets = offsets,
            .evaluation = evaluation_of(with_group_offsets(judged, offsets), &judged, attributes, options)};
}

static std::string group_line(const GroupOffsets::OfGroup& g, const std::vector<std::string>& classes) {
    if (!g.reason.empty()) return aside(fmt::format("{}: none ({})", g.name, g.reason));
    std::vector<std::string> moved;
    for (size_t c = 0; c < classes.size(); ++c)
        if (g.offsets[c] != 0) moved.push_back(fmt::format("{} {:+.3f}", classes[c], g.offsets[c]));
    return aside(fmt::format("{}: {}; balanced accuracy on its {} {:.4f} -> {:.4f}", g.name,
                             moved.empty() ? "all 0" : fmt::format("{}", fmt::join(moved, ", ")),
                             counted(g.images, "validation image"), g.before, g.after));
}

std::string to_text(const WithOffsets& w) {
    std::string out =
        aside(fmt::format("with offsets of the classes' log-probabilities by {}, chosen for {}. {}",
                          w.offsets.attribute, kOffsetsObjective, fmt::format("Note: {}", kOffsetsNeedGroup)),
              0);
    for (const GroupOffsets::OfGroup& g : w.offsets.groups) out += group_line(g, w.offsets.classes);
    return out + "\n" + to_text(w.evaluation);
}

}  // namespace fp
