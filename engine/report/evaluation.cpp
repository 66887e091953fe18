#include "engine/report/evaluation.h"

#include <fmt/format.h>

#include <cctype>

#include "engine/io/words.h"

namespace fp {

namespace {

void put_first(Verdict& verdict, const std::string& text, double size) {
    std::string sentence = text;
    sentence[0] = char(std::toupper(static_cast<unsigned char>(sentence[0])));
    verdict.summary = sentence + ". " + verdict.summary;
    verdict.findings.insert(verdict.findings.begin(),
                            {.kind = FindingKind::seen_in_training, .text = text, .size = size});
}

std::string seen_text(const Judged& ours, int64_t seen, int64_t by_other) {
    const auto of = [&](int64_t n) { return fmt::format("{} of {}", grouped(n), counted(ours.images, "image")); };
    const std::string part = ours.split == "all" ? "all" : "split " + ours.split;
    if (seen == 0)
        return fmt::format("{} judged ({}) were seen by the other model in its training, so its figures are too good",
                           of(by_other), part);
    const std::string text =
        fmt::format("{} judged ({}) were seen in training, so the figures are too good", of(seen), part);
    return by_other > 0 ? fmt::format("{}; by the other model {}", text, grouped(by_other)) : text;
}

}  // namespace

void set_judged(Evaluation& e, const Judged& ours, const Judged* other) {
    e.judged = ours;
    if (other && other->of_model && !other->seen) say_training_unknown(e.verdict, "the other model");
    if (ours.of_model && !ours.seen) say_training_unknown(e.verdict, "this model");
    const int64_t seen = ours.seen.value_or(0), by_other = other ? other->seen.value_or(0) : 0;
    if (seen > 0 || by_other > 0)
        put_first(e.verdict, seen_text(ours, seen, by_other), double(std::max(seen, by_other)) / double(ours.images));
}

void say_training_unknown(Verdict& verdict, const std::string& model) {
    put_first(verdict, "which images " + model + " was trained on is not known", 0);
}

}  // namespace fp
