#include "engine/report/html.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "engine/report/page.h"
#include "engine/report/svg.h"
#include "engine/report/sweep_html.h"

namespace fp {
namespace {

using nlohmann::ordered_json;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double number_at(const ordered_json& j, const char* key) {
    return j.is_object() && j.contains(key) && j.at(key).is_number() ? j.at(key).get<double>()
                                                                     : kNone;
}

std::string shown(double v, const char* format = "{:.4f}") {
    return std::isfinite(v) ? fmt::format(fmt::runtime(format), v) : "n/a";
}

std::string with_interval(const ordered_json& m) {
    const double low = number_at(m, "low"), high = number_at(m, "high");
    std::string out = shown(number_at(m, "value"), "{:.3f}");
    if (std::isfinite(low))
        out += fmt::format(" <span class=\"soft\">[{:.3f}, {:.3f}]</span>", low, high);
    return out;
}

std::string tile(const std::string& value, const std::string& what) {
    return "<div class=\"tile\"><b>" + value + "</b><span>" + what + "</span></div>";
}

// What was asked for, in one paragraph.
std::string asked_section(const ordered_json& r) {
    const auto& s = r.at("settings");
    const auto word = [&](const char* key) { return escape_html(s.at(key).get<std::string>()); };
    const int rounds = s.at("iterations").get<int>();
    std::string out = "<p>Channels of " +
                      (word("layers") == "last"  ? "the last layer"
                       : word("layers") == "all" ? "all layers"
                                                 : word("layers")) +
                      " chosen by " + word("criterion");
    if (s.at("criterion") == "snnl") {
        out += " (" + word("definition");
        if (s.value("given_class", false)) out += ", given the class";
        if (s.value("centre", false)) out += ", centred";
        out += ", at the " + word("tap") + " output)";
    }
    std::string attributes;
    for (const auto& a : s.at("attributes"))
        attributes += (attributes.empty() ? "" : ", ") + escape_html(a.get<std::string>());
    if (!attributes.empty()) out += " against " + attributes;
    out += fmt::format(": {} a round, {} round{}, then", word("amount"), rounds,
                       rounds == 1 ? "" : "s");
    if (r.contains("tuning"))
        out += fmt::format(" {} epoch{} of fine-tuning of {} (sampling: {})",
                           r.at("tuning").at("epochs").get<int>(),
                           r.at("tuning").at("epochs").get<int>() == 1 ? "" : "s", word("finetune"),
                           escape_html(r.at("tuning").at("sampler").get<std::string>()));
    if (r.contains("tuning") && r.at("tuning").contains("snnl"))
        out += fmt::format(" with an SNNL penalty of weight {}",
                           r.at("tuning").at("snnl").at("weight").get<double>());
    if (s.value("removal", std::string("cut")) != "cut")
        out += "; filters were zeroed as in the released code, nothing was cut";
    return out + ".</p>";
}

std::string models_section(const ordered_json& r) {
    const auto &dense = r.at("models").at("dense"), &pruned = r.at("models").at("pruned");
    const double pa = dense.at("parameters"), pb = pruned.at("parameters"), ma = dense.at("macs"),
                 mb = pruned.at("macs");
    std::string out = "<div class=\"tiles\">";
    out += tile(fmt::format("{:.1f} %", 100 * pb / pa),
                fmt::format("of {:.2f} M parameters are left", pa * 1e-6));
    out += tile(fmt::format("{:.1f} %", 100 * mb / ma),
                fmt::format("of {:.0f} M multiply-adds", ma * 1e-6));
    for (const auto& s : r.at("speed"))
        out += tile(fmt::format("{:.2f}x", s.at("speedup").at("value").get<double>()),
                    fmt::format("measured speed, batch {} [{:.2f}, {:.2f}]",
                                s.at("batch").get<int>(), s.at("speedup").at("low").get<double>(),
                                s.at("speedup").at("high").get<double>()));
    if (r.contains("test")) {
        const auto &a = r.at("test").at("dense"), &b = r.at("test").at("pruned");
        out += tile(fmt::format("{} &rarr; {}",
                                shown(number_at(a.at("balanced_accuracy"), "value"), "{:.3f}"),
                                shown(number_at(b.at("balanced_accuracy"), "value"), "{:.3f}")),
                    "balanced accuracy on test");
        for (const auto& [attribute, figures] : a.at("attributes").items())
            if (figures.at("gaps").contains("eodd_mean"))
                out += tile(
                    fmt::format(
                        "{} &rarr; {}",
                        shown(number_at(figures.at("gaps").at("eodd_mean"), "value"), "{:.3f}"),
                        shown(number_at(b.at("attributes").at(attribute).at("gaps").at("eodd_mean"),
                                        "value"),
                              "{:.3f}")),
                    "equalized-odds gap by " + escape_html(attribute));
    }
    return out + "</div>";
}

std::string accuracy_section(const ordered_json& test) {
    std::string out = "<h2>Accuracy on the test split</h2><p class=\"soft\">" +
                      fmt::format("{} images; 95 % intervals by resampling whole lesions.",
                                  test.at("dense").at("samples").get<int64_t>()) +
                      "</p><div class=\"scroll\"><table><tr><th>metric<th>dense<th>pruned</tr>";
    for (const char* key : {"accuracy", "balanced_accuracy", "macro_precision", "macro_recall",
                            "macro_f1", "macro_auc", "ece"})
        if (test.at("dense").contains(key))
            out += fmt::format("<tr><td>{}<td>{}<td>{}</tr>", key,
                               with_interval(test.at("dense").at(key)),
                               with_interval(test.at("pruned").at(key)));
    return out + "</table></div>";
}

std::string fairness_section(const ordered_json& test) {
    std::string out =
        "<h2>Fairness on the test split</h2><p class=\"soft\">The band is where a classifier that "
        "treats the groups alike would fall "
        "by chance: a gap inside it is not distinguishable from none.</p>";
    for (const auto& [attribute, a] : test.at("dense").at("attributes").items()) {
        const auto& b = test.at("pruned").at("attributes").at(attribute);
        out += "<h3>" + escape_html(attribute) +
               "</h3><div class=\"scroll\"><table><tr><th>group<th>images<th>accuracy, "
               "dense<th>accuracy, pruned<th>macro-F1, "
               "dense<th>macro-F1, pruned</tr>";
        for (const auto& [group, g] : a.at("groups").items()) {
            const auto& h = b.at("groups").at(group);
            out += fmt::format("<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>", escape_html(group),
                               g.at("samples").get<int64_t>(), with_interval(g.at("accuracy")),
                               with_interval(h.at("accuracy")), with_interval(g.at("macro_f1")),
                               with_interval(h.at("macro_f1")));
        }
        out += "</table></div>";
        std::vector<IntervalRow> rows;
        std::string table =
            "<div class=\"scroll\"><table><tr><th>gap<th>dense<th>pruned<th>fair range "
            "(pruned)<th>p</tr>";
        for (const char* key :
             {"eopp0", "eopp1", "eodd", "eodd_mean", "eodd_max", "dp", "accuracy"}) {
            if (!a.at("gaps").contains(key)) continue;
            const auto &x = a.at("gaps").at(key), &y = b.at("gaps").at(key);
            const bool charted = std::string(key) != "dp";
            for (int k = 0; k < 2 && charted; ++k) {
                const auto& g = k == 0 ? x : y;
                rows.push_back({fmt::format("{}, {}", key, k == 0 ? "dense" : "pruned"), k,
                                number_at(g, "value"), number_at(g, "low"), number_at(g, "high"),
                                number_at(g, "fair_low"), number_at(g, "fair_high")});
            }
            table += fmt::format(
                "<tr><td>{}<td>{}<td>{}<td>{} .. {}<td>{}</tr>", key, with_interval(x),
                with_interval(y), shown(number_at(y, "fair_low"), "{:.3f}"),
                shown(number_at(y, "fair_high"), "{:.3f}"), shown(number_at(y, "p"), "{:.4f}"));
        }
        out += "<div class=\"charts\">" +
               interval_chart(
                   {.title = "Gaps by " + attribute, .x = "gap (0 = none)", .y = "", .width = 420},
                   rows) +
               "</div>" + table + "</table></div>";
    }
    return out;
}

std::string layers_section(const ordered_json& r) {
    std::string out =
        "<h2>Layers before and after</h2><p class=\"soft\">Shaded: layers that lost channels. "
        "Times are of one batch in evaluation, the fastest of "
        "several passes.</p><div "
        "class=\"scroll\"><table><tr><th>layer<th>map<th>channels<th>parameters<th>multiply-adds "
        "(M)<th>ms</tr>";
    for (const auto& l : r.at("layers")) {
        const auto pair = [&](const char* key, int i) { return l.at(key).at(i).get<double>(); };
        const bool cut = pair("macs", 0) != pair("macs", 1);
        out += fmt::format(
            "<tr{}><td>{}<td>{}&times;{}<td>{:.0f} &rarr; {:.0f}<td>{:.0f} &rarr; {:.0f}<td>{:.2f} "
            "&rarr; {:.2f}<td>{:.2f} &rarr; {:.2f}</tr>",
            cut ? " class=\"cut\"" : "", escape_html(l.at("layer").get<std::string>()),
            l.at("map").at(0).get<int>(), l.at("map").at(1).get<int>(), pair("channels", 0),
            pair("channels", 1), pair("parameters", 0), pair("parameters", 1),
            pair("macs", 0) * 1e-6, pair("macs", 1) * 1e-6, pair("ms", 0), pair("ms", 1));
    }
    return out + "</table></div>";
}

std::string scores_section(const ordered_json& r) {
    if (!r.contains("scores") || r.at("scores").empty()) return "";
    std::string out =
        "<h2>Scores of the channels</h2><p class=\"soft\">" +
        std::string(r.at("scores").at(0).at("attribute").is_null()
                        ? "Over the set's mean magnitude; the lowest go first."
                        : "Normalised soft nearest neighbour loss: 1 = a channel's neighbours say "
                          "nothing of the group, lower = they tell it.") +
        " A tick a channel; taller and coloured: removed in the first round.</p><div "
        "class=\"charts\">";
    for (const auto& s : r.at("scores")) {
        std::vector<double> values;
        std::vector<bool> marked;
        for (const auto& v : s.at("values")) {
            values.push_back(v.is_number() ? v.get<double>() : kNone);
            marked.push_back(false);
        }
        for (const auto& c : s.at("removed")) marked.at(c.get<size_t>()) = true;
        out += strip_chart(
            {.title =
                 s.at("layer").get<std::string>() +
                 (s.at("attribute").is_null() ? "" : " by " + s.at("attribute").get<std::string>()),
             .x = s.at("attribute").is_null() ? "score" : "score / chance",
             .y = ""},
            values, marked);
    }
    return out + "</div>";
}

std::string rounds_section(const ordered_json& r) {
    std::string out =
        "<h2>Rounds</h2><div class=\"scroll\"><table><tr><th>round<th>channels "
        "out<th>parameters<th>balanced accuracy, cut<th>tuned<th>objective<th></tr>";
    for (const auto& round : r.at("rounds")) {
        const int number = round.at("round").get<int>();
        out +=
            fmt::format("<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{} {}<td>{}</tr>", number,
                        round.at("channels").get<int64_t>(), round.at("parameters").get<int64_t>(),
                        shown(number_at(round.at("cut"), "balanced_accuracy")),
                        shown(number_at(round.at("val"), "balanced_accuracy")),
                        escape_html(round.at("objective").at("by").get<std::string>()),
                        shown(number_at(round.at("objective"), "value")),
                        number == r.at("best_round").get<int>()    ? "kept"
                        : !round.at("within_max_drop").get<bool>() ? "below --max-drop"
                        : !round.value("enough_accuracy", true)    ? "too near chance"
                                                                   : "");
    }
    out +=
        "</table></div><p class=\"soft\">On validation; objectives are oriented so that more is "
        "better. The test split was read once, after the choice.</p>";
    Series loss{"training loss", {}, {}}, validation{"validation loss", {}, {}},
        accuracy{"balanced accuracy", {}, {}};
    double at = 0;
    for (const auto& row : r.at("curves")) {
        ++at;
        for (Series* s : {&loss, &validation, &accuracy}) s->x.push_back(at);
        loss.y.push_back(number_at(row.at("train"), "loss"));
        validation.y.push_back(number_at(row.at("val"), "loss"));
        accuracy.y.push_back(number_at(row.at("val"), "balanced_accuracy"));
    }
    if (at > 0)
        out += "<div class=\"charts\">" +
               line_chart({.title = "Fine-tuning: loss", .x = "epoch, over all rounds", .y = ""},
                          {loss, validation}) +
               line_chart({.title = "Fine-tuning: balanced accuracy on validation",
                           .x = "epoch, over all rounds",
                           .y = ""},
                          {accuracy}) +
               "</div>";
    return out;
}

}  // namespace

std::string report_html(const ordered_json& r) {
    const std::string title = r.at("title").get<std::string>();
    std::string out = "<h1>" + escape_html(title) + "</h1>";
    out += asked_section(r);
    if (r.contains("verdict"))
        out +=
            "<div class=\"verdict\">" + escape_html(r.at("verdict").get<std::string>()) + "</div>";
    out += models_section(r);
    if (r.contains("sweep")) out += sweep_section(r.at("sweep"));
    if (r.contains("test")) out += accuracy_section(r.at("test")) + fairness_section(r.at("test"));
    out += scores_section(r) + rounds_section(r) + layers_section(r);
    out += origin_section(r);
    return page(title, out);
}

}  // namespace fp
