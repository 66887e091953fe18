// A model card in Markdown: what the model is, on whom it was judged, what it can and cannot be said to do.
#include "engine/fairness/verdict_words.h"
#include "engine/report/prune_report.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

// "0.700 [0.600, 0.800]"
std::string figure(const Measure& m) {
    return std::isnan(m.low) ? number(m.value, 3) : number(m.value, 3) + " " + range(m.low, m.high, 3);
}

std::string attribute_card(const AttributeReport& a) {
    std::string out = fmt::format("\n### By {}\n\n| group | images | accuracy | macro F1 |\n|---|---|---|---|\n",
                                  markdown_text(a.name));
    for (const GroupReport& g : a.groups)
        out += fmt::format("| {} | {} | {} | {} |\n", markdown_text(g.name), g.samples, figure(g.metric("accuracy")),
                           figure(g.metric("macro_f1")));
    if (a.gaps.empty()) return out;
    const PrimaryGap& g = a.primary;
    if (std::isnan(g.p)) return out + fmt::format("\nThe gap was not tested: {}.\n", g.reason);
    return out + fmt::format("\nEqualized-odds gap ({}): {:.3f}, {}.\n", kPrimaryKey, g.rms, g.verdict);
}

}  // namespace

std::string markdown_text(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (std::string_view("\\`*_{}[]<>#|").find(c) != std::string_view::npos) out += '\\';
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out;
}

std::string verdict_card(const Verdict& v) {
    constexpr size_t kOpen = 5;
    std::string out = fmt::format("\n## Verdict\n\n{}\n", markdown_text(v.summary));
    std::vector<std::string> attributes;  // in the order of their first finding
    for (const Finding& f : v.findings)
        if (std::ranges::find(attributes, f.attribute) == attributes.end()) attributes.push_back(f.attribute);
    for (const std::string& attribute : attributes) {
        std::vector<std::string> items;
        for (const Finding& f : v.findings)
            if (f.attribute == attribute && !in_summary(f.kind)) items.push_back("- " + markdown_text(f.text) + "\n");
        if (items.empty()) continue;
        out +=
            attribute.empty() ? "\n### Overall\n\n" : fmt::format("\n### Findings by {}\n\n", markdown_text(attribute));
        for (size_t i = 0; i < items.size(); ++i) {
            if (i == kOpen)
                out += fmt::format("\n<details><summary>{} more</summary>\n\n", grouped(int64_t(items.size() - kOpen)));
            out += items[i];
        }
        if (items.size() > kOpen) out += "\n</details>\n";
    }
    return out;
}

std::string evaluation_card(const Report& pruned) {
    std::string out = fmt::format(
        "\n## Evaluation\n\nOn {}, read after all choices. In brackets: 95 % intervals.\n\n| | |\n|---|---|\n",
        counted(pruned.samples, "test image"));
    for (const char* key : {"accuracy", "balanced_accuracy", "macro_f1", "macro_auc", "ece"})
        out += fmt::format("| {} | {} |\n", key, figure(pruned.metric(key)));
    for (const AttributeReport& a : pruned.attributes) out += attribute_card(a);
    return out;
}

std::string model_card(const PruneReport& r, const Caller& caller) {
    const Totals &before = r.dense_totals, &left = r.pruned_totals;
    const int size = r.dense.image_size();
    std::string out = fmt::format(
        "# {}\n\n## Model\n\n- architecture: {}, pruned; {:.3f} M parameters, {:.1f} M multiply-adds per image "
        "({:.1f} % and {:.1f} % of the dense model)\n- input: {}x{} RGB\n- classes: {}\n"
        "- criterion: {}, layers {}, amount {} per round\n- data: {}\n",
        markdown_text(r.title()), markdown_text(r.result.best.network->spec.arch), double(left.parameters) * 1e-6,
        left.macs * 1e-6, 100 * double(left.parameters) / double(before.parameters), 100 * left.macs / before.macs,
        size, size, markdown_text(fmt::format("{}", fmt::join(r.dense.model.card.classes, ", "))),
        markdown_text(std::string(r.settings.score.criterion->name)), markdown_text(r.settings.score.layers),
        markdown_text(to_string(r.settings.choose.amount)), markdown_text(r.dense.data.set.name));
    if (const auto placebo = placebo_note(r.settings)) out += fmt::format("- {}\n", to_text(*placebo));
    out +=
        "\n## Intended use\n\nResearch on fairness and pruning. Not a medical device: not for diagnosis, triage or any "
        "decision about a person.\n";
    if (r.test) out += evaluation_card(r.test->pruned);
    if (r.test_reads) out += "\nReads: " + markdown_text(sentence(*r.test_reads)) + ".\n";
    if (r.test) out += verdict_card(r.verdict);
    return out + fmt::format(
                     "\n## Limits\n\n- Judged on data of one source; the performance on other data is not known.\n"
                     "- Groups with few images have wide intervals; what could not be estimated is n/a, not fair.\n"
                     "- Of one training: `--seeds` repeats the tuning of one network, `recipes/run --trainings N` "
                     "the training.\n\n## To repeat\n\n```\n{}\n```\n",
                     caller.command_line);
}

}  // namespace fp
