#include "engine/report/model_card.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace fp {
namespace {

using nlohmann::ordered_json;

// Text from files in a table's cell or a line: nothing that Markdown would read as its own.
std::string plain(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20) {
            out += ' ';
            continue;
        }
        if (std::string_view("\\`*_{}[]<>#|").find(c) != std::string_view::npos) out += '\\';
        out += c;
    }
    return out;
}

std::string figure(const ordered_json& of, const char* key) {
    if (!of.contains(key) || of.at(key).at("value").is_null()) return "n/a";
    const ordered_json& m = of.at(key);
    std::string out = fmt::format("{:.3f}", m.at("value").get<double>());
    if (!m.at("low").is_null())
        out += fmt::format(" [{:.3f}, {:.3f}]", m.at("low").get<double>(), m.at("high").get<double>());
    return out;
}

std::string groups_table(const std::string& attribute, const ordered_json& a) {
    std::string out =
        fmt::format("\n### By {}\n\n| group | images | accuracy | macro F1 |\n|---|---|---|---|\n", plain(attribute));
    for (const auto& [name, g] : a.at("groups").items())
        out += fmt::format("| {} | {} | {} | {} |\n", plain(name), g.at("samples").get<int64_t>(),
                           figure(g, "accuracy"), figure(g, "macro_f1"));
    if (!a.contains("gaps") || !a.at("gaps").contains("eodd_mean")) return out;
    const ordered_json& g = a.at("gaps").at("eodd_mean");
    out += fmt::format("\nEqualized-odds gap (eodd_mean): {}", figure(a.at("gaps"), "eodd_mean"));
    if (!g.at("fair_low").is_null())
        out += fmt::format("; a classifier that treats the groups alike shows {:.3f} to {:.3f} here",
                           g.at("fair_low").get<double>(), g.at("fair_high").get<double>());
    return out + ".\n";
}

}  // namespace

std::string model_card(const ordered_json& r) {
    const ordered_json& model = r.at("models").at("pruned");
    const ordered_json& spec = model.at("spec");
    std::string classes;
    for (const auto& c : r.at("classes")) classes += (classes.empty() ? "" : ", ") + plain(c.get<std::string>());
    std::string out = fmt::format(
        "# {}\n\n## Model\n\n- architecture: {}, pruned; {:.3f} M parameters, {:.1f} M "
        "multiply-adds an "
        "image ({:.1f} % and {:.1f} % of the dense model)\n- input: {}x{} RGB\n- classes: {}\n- "
        "criterion: {}, layers {}, amount {} a round\n- data: {}\n",
        plain(r.at("title").get<std::string>()), plain(spec.at("arch").get<std::string>()),
        model.at("parameters").get<double>() * 1e-6, model.at("macs").get<double>() * 1e-6,
        100 * model.at("parameters").get<double>() / r.at("models").at("dense").at("parameters").get<double>(),
        100 * model.at("macs").get<double>() / r.at("models").at("dense").at("macs").get<double>(),
        model.at("image_size").get<int>(), model.at("image_size").get<int>(), classes,
        plain(r.at("settings").at("criterion").get<std::string>()),
        plain(r.at("settings").at("layers").get<std::string>()),
        plain(r.at("settings").at("amount").get<std::string>()), plain(r.at("data").get<std::string>()));
    out +=
        "\n## Intended use\n\nResearch on fairness and pruning. Not a medical device: not for "
        "diagnosis, triage or any decision about a person.\n";
    if (r.contains("test")) {
        const ordered_json& t = r.at("test").at("pruned");
        out += fmt::format(
            "\n## Evaluation\n\nOn {} test images, read once, after all choices. In brackets: 95 % "
            "intervals.\n\n| | |\n|---|---|\n",
            t.at("samples").get<int64_t>());
        for (const char* key : {"accuracy", "balanced_accuracy", "macro_f1", "macro_auc", "ece"})
            out += fmt::format("| {} | {} |\n", key, figure(t, key));
        for (const auto& [attribute, a] : t.at("attributes").items()) out += groups_table(attribute, a);
    }
    if (r.contains("verdict"))
        out += fmt::format("\n## Against the dense model\n\n{}\n", plain(r.at("verdict").get<std::string>()));
    out += fmt::format(
        "\n## Limits\n\n- Judged on data of one source; how it does elsewhere is not known.\n- "
        "Groups "
        "with few images have wide intervals; what could not be estimated is n/a, not fair.\n- One "
        "seed decides nothing: see `--seeds`.\n\n## To repeat\n\n```\n{}\n```\n",
        r.at("command").get<std::string>());
    return out;
}

}  // namespace fp
