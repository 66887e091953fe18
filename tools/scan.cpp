#include "tools/scan.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/fairness/compare.h"
#include "engine/io/json.h"
#include "engine/prune/cut.h"
#include "engine/run/progress.h"
#include "engine/run/signals.h"
#include "engine/train/train_json.h"
#include "tools/figures.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

const char* const kGap = "eodd_mean";

const Difference& find(const std::vector<Difference>& all, const char* key) {
    for (const Difference& d : all)
        if (d.key == key) return d;
    FP_CHECK(false, "scan: the comparison has no ", key);
    return all[0];
}

ordered_json to_json(const Difference& d) {
    return {{"value", number_or_null(d.model)},
            {"change", number_or_null(d.value)},
            {"p", number_or_null(d.p)}};
}

struct Scanner {
    const PruneContext& context;
    const PruningOptions& pruning;
    const Predictions dense;

    // One set, one share.
    ordered_json point(const ChannelSet& set, const SetScores& scores, const Amount& share) const {
        const Network& net = *context.dense.network;
        ordered_json out{{"share", to_string(share)}};
        ChooseOptions options = choose_options(pruning);
        options.amount = share;
        Removal removal;
        try {
            removal = choose(net.spec, {set}, scores, options, {});
        } catch (const Error& e) {
            if (e.exit != Exit::data) throw;
            out["reason"] = e.what();
            return out;
        }
        const auto small = cut(net, {set}, removal);
        const Totals left =
            totals(layer_costs(*small, context.dense.card.preprocessing.image_size));
        const Predictions own = context.predict_on(Split::val, *small);
        const Comparison c = compare(own, dense, context.attributes());
        out["removed"] = removal.begin()->second.size();
        out["parameters"] = left.parameters;
        out["macs"] = left.macs;
        out["balanced_accuracy"] = to_json(find(c.metrics, "balanced_accuracy"));
        if (!c.attributes.empty() && c.attributes[0].no_gaps.empty())
            out["gap"] = to_json(find(c.attributes[0].gaps, kGap));
        return out;
    }
};

// Adds "p_holm": over all points, accuracy and gap each a family of its own.
void correct_for_many(ordered_json& sets) {
    for (const char* what : {"balanced_accuracy", "gap"}) {
        std::vector<ordered_json*> found;
        for (ordered_json& set : sets)
            for (ordered_json& point : set.at("points"))
                if (point.contains(what)) found.push_back(&point.at(what));
        add_p_holm(found);
    }
}

// "+0.012*", the star where it is more than noise.
std::string cell(const ordered_json& point, const char* what) {
    if (!point.contains(what)) return "- ";
    const ordered_json& d = point.at(what);
    if (d.at("change").is_null()) return "n/a";
    return fmt::format("{:+.3f}{}", d.at("change").get<double>(),
                       value_or_nan(d.at("p_holm")) <= 0.05 ? "*" : " ");
}

std::string table(const ordered_json& report, const char* what, const char* title) {
    std::string out = fmt::format("{:<30}", title);
    for (const auto& share : report.at("shares"))
        out += fmt::format("{:>9} ", share.get<std::string>());
    while (out.back() == ' ') out.pop_back();
    for (const auto& set : report.at("sets")) {
        out += fmt::format("\n{:<24.24}{:>6}", set.at("set").get<std::string>(),
                           set.at("channels").get<int>());
        for (const auto& point : set.at("points")) out += fmt::format("{:>10}", cell(point, what));
        while (out.back() == ' ') out.pop_back();
    }
    return out + "\n";
}

}  // namespace

std::vector<Amount> parse_shares(const std::string& text) {
    std::vector<Amount> out;
    for (const std::string& entry : split_list(text, "--scan")) {
        out.push_back(parse_amount(entry));
        FP_REQUIRE(out.back().kind == Amount::Kind::share, Exit::usage, "--scan `", text,
                   "`: shares with commas, as 10%,25%,50%, not `", entry, "`");
    }
    FP_REQUIRE(out.size() <= 5, Exit::usage, "--scan `", text, "`: ", out.size(),
               " shares; up to 5 fit a table");
    return out;
}

ordered_json scan(const PruneContext& context,
                  const PruningOptions& pruning,
                  const SetScores& scores,
                  const std::vector<Amount>& shares,
                  const ordered_json& finished,
                  const std::function<void(const ordered_json&)>& save) {
    const Network& net = *context.dense.network;
    const Scanner scanner{
        .context = context, .pruning = pruning, .dense = context.predict_on(Split::val, net)};
    const auto sets = channel_sets(trace(net, context.dense.card.preprocessing.image_size).nodes);
    ordered_json rows = finished;
    std::vector<const ChannelSet*> left;
    for (const ChannelSet& set : sets) {
        const bool known = std::any_of(rows.begin(), rows.end(), [&](const ordered_json& row) {
            return row.at("set") == set.name();
        });
        if (scores.contains(set.name()) && !known) left.push_back(&set);
    }
    const int64_t images = scanner.dense.size();
    int64_t done = 0;
    std::optional<Progress> bar;
    if (!left.empty())
        bar.emplace(progress_output(context.options.quiet()), "scan",
                    int64_t(left.size() * shares.size()) * images);
    for (const ChannelSet* set : left) {
        ordered_json row{
            {"set", set->name()}, {"channels", set->channels}, {"points", ordered_json::array()}};
        for (const Amount& share : shares) {
            if (StopSignals::requested()) return nullptr;
            row["points"].push_back(
                scanner.point(*set, {{set->name(), scores.at(set->name())}}, share));
            bar->update(done += images, std::nullopt, 0);
        }
        rows.push_back(row);
        save(rows);
    }
    bar.reset();
    correct_for_many(rows);
    const std::vector<std::string> attributes = context.attributes();
    const ordered_json dense = to_json(summarize(scanner.dense, attributes));
    ordered_json out{{"criterion", pruning.criterion},
                     {"attribute", attributes.empty() ? "" : attributes[0]},
                     {"gap", kGap},
                     {"split", "val"},
                     {"dense", {{"balanced_accuracy", dense.at("balanced_accuracy")}}},
                     {"shares", ordered_json::array()},
                     {"sets", rows}};
    if (!attributes.empty())
        out["dense"]["gap"] =
            dense.at("attributes").at(attributes[0]).at("gaps").value(kGap, ordered_json());
    for (const Amount& share : shares) out["shares"].push_back(to_string(share));
    return out;
}

std::string scan_text(const ordered_json& report) {
    const ordered_json& dense = report.at("dense");
    std::string out =
        fmt::format("on validation, changes from the dense model's balanced accuracy of {:.3f}\n",
                    dense.at("balanced_accuracy").get<double>());
    out += table(report, "balanced_accuracy", "set                  channels");
    if (dense.contains("gap") && !dense.at("gap").is_null()) {
        out += fmt::format(
            "\nchanges from its {} by {} of {:.3f}\n", report.at("gap").get<std::string>(),
            report.at("attribute").get<std::string>(), dense.at("gap").get<double>());
        out += table(report, "gap", "set                  channels");
    }
    return out +
           "\nnothing is tuned. *: p <= .05 after Holm's correction over the table\n"
           "-: not possible\n";
}

std::string scan_csv(const ordered_json& report) {
    std::string out =
        "set,channels,share,removed,parameters,macs,balanced_accuracy,balanced_accuracy_p_holm,gap,"
        "gap_p_holm\n";
    for (const auto& set : report.at("sets"))
        for (const auto& point : set.at("points")) {
            const auto field = [&](const char* what, const char* key) {
                return point.contains(what) && !point.at(what).at(key).is_null()
                           ? point.at(what).at(key).dump()
                           : std::string();
            };
            const auto plain = [&](const char* key) {
                return point.contains(key) ? point.at(key).dump() : std::string();
            };
            out += fmt::format("{},{},{},{},{},{},{},{},{},{}\n", set.at("set").get<std::string>(),
                               set.at("channels").get<int>(), point.at("share").get<std::string>(),
                               plain("removed"), plain("parameters"), plain("macs"),
                               field("balanced_accuracy", "value"),
                               field("balanced_accuracy", "p_holm"), field("gap", "value"),
                               field("gap", "p_holm"));
        }
    return out;
}

}  // namespace fp
