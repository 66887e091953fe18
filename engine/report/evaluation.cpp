#include "engine/report/evaluation.h"

#include <fmt/format.h>

#include "engine/io/words.h"

namespace fp {

void set_judged(Evaluation& e, const Judged& ours, const Judged* other) {
    e.judged = ours;
    const int64_t seen = ours.seen.value_or(0), by_other = other ? other->seen.value_or(0) : 0;
    if (seen == 0 && by_other == 0) return;
    const auto of = [&](int64_t n) { return fmt::format("{} of {}", grouped(n), counted(ours.images, "image")); };
    const std::string part = ours.split == "all" ? "all" : "split " + ours.split;
    std::string text =
        seen > 0 ? fmt::format("{} judged ({}) were seen in training, so the figures are too good", of(seen), part)
                 : "";
    if (by_other > 0)
        text += seen > 0 ? fmt::format("; by the other model {}", grouped(by_other))
                         : fmt::format(
                               "{} judged ({}) were seen by the other model in its training, so its figures "
                               "are too good",
                               of(by_other), part);
    e.verdict.summary = text + ". " + e.verdict.summary;
    e.verdict.findings.insert(e.verdict.findings.begin(),
                              {.kind = FindingKind::seen_in_training,
                               .text = text,
                               .size = double(std::max(seen, by_other)) / double(ours.images)});
}

}  // namespace fp
