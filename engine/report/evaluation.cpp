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

void put_unknown(Verdict& verdict, const std::string& model, bool some_known, bool earlier_unknown) {
    if (some_known && !earlier_unknown) return;
    put_first(
        verdict,
        fmt::format("which images {} was trained on{} is not known", model, some_known ? " before it was pruned" : ""),
        0);
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
    const auto say_unknown = [&](const Judged& of, const char* model) {
        if (of.of_model) put_unknown(e.verdict, model, of.seen.has_value(), of.earlier_unknown.value_or(false));
    };
    if (other) say_unknown(*other, "the other model");
    say_unknown(ours, "this model");
    const int64_t seen = ours.seen.value_or(0), by_other = other ? other->seen.value_or(0) : 0;
    if (seen > 0 || by_other > 0)
        put_first(e.verdict, seen_text(ours, seen, by_other), double(std::max(seen, by_other)) / double(ours.images));
}

void say_unknown_training(Verdict& verdict, const std::string& model, const std::optional<SeenImages>& seen) {
    put_unknown(verdict, model, seen.has_value(), seen && seen->earlier_unknown);
}

}  // namespace fp
