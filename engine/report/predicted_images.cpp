#include "engine/report/predicted_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "engine/io/json.h"
#include "engine/report/evaluation.h"
#include "engine/run/checkpoint_json.h"

namespace fp {
namespace {

constexpr std::string_view kPositive = "positive_";

std::string probability(double p) { return fmt::format("{:.4f}", p); }

}  // namespace

void apply_thresholds(PredictedImages& images) {
    Predictions& p = images.predictions;
    for (const auto& [positive, threshold] : images.thresholds) {
        const int c = index_of(p.classes, positive);
        FP_REQUIRE(c >= 0, Exit::usage, "--threshold: the model has no class `", printable(positive), "`, only ",
                   list(p.classes));
        p.columns.push_back(std::string(kPositive) + positive);
        std::vector<std::string>& column = p.attributes.emplace_back();
        for (int64_t i = 0; i < p.size(); ++i) column.push_back(p.row(i)[c] >= threshold.value ? "1" : "0");
    }
}

std::vector<int> top_classes(const double* probabilities, int classes, int count) {
    std::vector<int> order(static_cast<size_t>(classes));
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, std::greater(), [&](int c) { return probabilities[c]; });
    order.resize(size_t(std::min(count, classes)));
    return order;
}

std::string to_text(const PredictedImages& images, int top) {
    const Predictions& p = images.predictions;
    std::string out;
    for (int64_t i = 0; i < p.size(); ++i) {
        out += printable(p.image[size_t(i)], 4096);
        const char* before = ": ";
        for (const int c : top_classes(p.row(i), int(p.classes.size()), top)) {
            out += before + printable(p.classes[size_t(c)]) + " " + probability(p.row(i)[c]);
            before = ", ";
        }
        if (p.has_labels()) out += "; label " + printable(p.classes[size_t(p.label[size_t(i)])]);
        for (const auto& [positive, threshold] : images.thresholds) {
            const double share = p.row(i)[index_of(p.classes, positive)];
            const bool yes = share >= threshold.value;
            out += fmt::format("; {} is {} ({} {} {:.4g})", printable(positive), yes ? "positive" : "negative",
                               probability(share), yes ? ">=" : "<", threshold.value);
        }
        out += "\n";
    }
    return out;
}

std::string counts_text(const PredictedImages& images) {
    const Predictions& p = images.predictions;
    std::string out = fmt::format("{} {}:", p.size(), p.size() == 1 ? "image" : "images");
    const char* before = " ";
    for (size_t c = 0; c < p.classes.size(); ++c) {
        out += fmt::format("{}{} {}", before, printable(p.classes[c]), std::ranges::count(p.pred, int(c)));
        before = ", ";
    }
    before = "; positive at the threshold: ";
    for (const auto& [positive, threshold] : images.thresholds) {
        const size_t column = size_t(index_of(p.columns, std::string(kPositive) + positive));
        out += fmt::format("{}{} {}", before, printable(positive), std::ranges::count(p.attributes[column], "1"));
        before = ", ";
    }
    return out + "\n";
}

static void put_image(JsonWriter out, const Predictions& p, int64_t i, int top) {
    const std::vector<double> row(p.row(i), p.row(i) + p.classes.size());
    out("image", p.image[size_t(i)]);
    if (p.has_labels()) out("label", p.classes[size_t(p.label[size_t(i)])]);
    out("pred", p.classes[size_t(p.pred[size_t(i)])]);
    nlohmann::ordered_json& best = make_list(add_member(out.object, "top"));
    for (const int c : top_classes(row.data(), int(row.size()), top)) {
        JsonWriter one{make_object(add_element(best))};
        one("class", p.classes[size_t(c)]);
        one("probability", row[size_t(c)]);
    }
    out("probabilities", row);
    JsonWriter columns = inside(out, "columns");
    for (size_t c = 0; c < p.columns.size(); ++c) columns(p.columns[c].c_str(), p.attributes[c][size_t(i)]);
}

std::string json_text(const PredictedImages& images, int top) {
    return json_document([&](nlohmann::ordered_json& document) {
        JsonWriter out{make_object(document)};
        out("classes", images.predictions.classes);
        out("thresholds", images.thresholds);
        nlohmann::ordered_json& rows = make_list(add_member(document, "images"));
        for (int64_t i = 0; i < images.predictions.size(); ++i)
            put_image({make_object(add_element(rows))}, images.predictions, i, top);
        nlohmann::ordered_json& skipped = make_list(add_member(document, "skipped"));
        for (const auto& [image, reason] : images.skipped) {
            JsonWriter one{make_object(add_element(skipped))};
            one("image", image);
            one("reason", reason);
        }
    });
}

}  // namespace fp
