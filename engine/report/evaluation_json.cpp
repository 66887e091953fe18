#include "engine/report/evaluation_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/io/json.h"
#include "engine/run/checkpoint_json.h"

namespace fp {
namespace {

using Json = nlohmann::ordered_json;

void put_reason(Json& out, const char* key, const std::string& reason) {
    if (!reason.empty()) out[key] = reason;
}

Json json_of(const Measure& m) {
    Json out;
    out["value"] = number_or_null(m.value);
    out["low"] = number_or_null(m.low);
    out["high"] = number_or_null(m.high);
    put_reason(out, "reason", m.reason);
    return out;
}

Json with_formula(const Measure& m) {
    Json out = json_of(m);
    out["formula"] = m.formula;
    return out;
}

Json json_of(const Gap& g) {
    Json out = json_of(static_cast<const Measure&>(g));
    out["fair_low"] = number_or_null(g.fair_low);
    out["fair_high"] = number_or_null(g.fair_high);
    out["p"] = number_or_null(g.p);
    out["p_holm"] = number_or_null(g.p_holm);
    out["permuted"] = g.null;
    out["rms"] = number_or_null(g.rms);
    out["rms_low"] = number_or_null(g.rms_low);
    out["rms_high"] = number_or_null(g.rms_high);
    out["rms_squared"] = number_or_null(g.rms_squared);
    put_reason(out, "rms_reason", g.rms_reason);
    if (!g.group_a.empty()) {
        out["pair"] = {g.group_a, g.group_b};
        out["mean_pair"] = number_or_null(g.mean_pair);
    }
    if (!std::isnan(g.signed_gap.value)) out["signed"] = json_of(g.signed_gap);
    if (g.classes > 0) {
        out["classes"] = g.classes;
        out["classes_absent_from_a_group"] = g.absent;
        out["rms_classes"] = g.rms_classes;
    }
    out["formula"] = g.formula;
    put_reason(out, "verdict", g.verdict);
    return out;
}

Json json_of(const Confusion& confusion) {
    Json rows = Json::array();
    for (int t = 0; t < confusion.classes; ++t) {
        Json row = Json::array();
        for (int p = 0; p < confusion.classes; ++p) row.push_back(confusion.at(t, p));
        rows.push_back(std::move(row));
    }
    return rows;
}

Json json_of(const std::vector<ClassFigures>& figures, const std::vector<std::string>& classes) {
    Json out = Json::object();
    for (size_t c = 0; c < classes.size(); ++c)
        out[classes[c]] = {{"positives", figures[c].positives},
                           {"predicted", figures[c].predicted},
                           {"tpr", json_of(figures[c].tpr)},
                           {"fpr", json_of(figures[c].fpr)},
                           {"selected", json_of(figures[c].selected)}};
    return out;
}

Json json_of(const GroupReport& group, const std::vector<std::string>& classes) {
    Json out;
    out["samples"] = group.samples;
    out["units"] = group.units;
    out["in_gaps"] = group.in_gaps;
    put_reason(out, "reason", group.reason);
    for (const Measure& m : group.metrics) out[m.key] = json_of(m);
    out["per_class"] = json_of(group.classes, classes);
    out["confusion"] = json_of(group.confusion);
    return out;
}

Json json_of(const WorstGroup& worst) {
    Json out = {{"group", worst.group}, {"samples", worst.samples}};
    out.update(json_of(worst.measure));
    out["stays_worst"] = number_or_null(worst.stays_worst);
    return out;
}

Json json_of(const AttributeReport& attribute, const std::vector<std::string>& classes) {
    Json out;
    out["groups"] = Json::object();
    for (const GroupReport& g : attribute.groups) out["groups"][g.name] = json_of(g, classes);
    out["gaps"] = Json::object();
    for (const Gap& g : attribute.gaps) out["gaps"][g.key] = json_of(g);
    put_reason(out, "reason", attribute.no_gaps);
    out["worst_group"] = Json::object();
    for (const WorstGroup& w : attribute.worst) out["worst_group"][w.measure.key] = json_of(w);
    out["unknown"] = attribute.unknown;
    out["groups_left_out"] = attribute.groups_left_out;
    out["samples_left_out"] = attribute.samples_left_out;
    out["units_in_two_groups"] = attribute.units_in_two_groups;
    return out;
}

Json json_of(const Difference& d) {
    Json out = {{"model", number_or_null(d.model)}, {"other", number_or_null(d.other)}};
    out.update(json_of(static_cast<const Measure&>(d)));
    out["p"] = number_or_null(d.p);
    out["p_holm"] = number_or_null(d.p_holm);
    if (!std::isnan(d.fair)) {
        out["rms_squared"] = {{"value", number_or_null(d.rms_squared)},
                              {"low", number_or_null(d.rms_squared_low)},
                              {"high", number_or_null(d.rms_squared_high)}};
        put_reason(out["rms_squared"], "reason", d.rms_reason);
    }
    out["formula"] = d.formula;
    if (!d.verdict.empty()) out["verdict"] = d.verdict;
    return out;
}

void put_all(Json& out, const std::vector<Difference>& differences) {
    for (const Difference& d : differences) out[d.key] = json_of(d);
}

}  // namespace

Json to_json(const Report& report) {
    Json out;
    out["samples"] = report.samples;
    out["units"] = report.units;
    out["unit"] = report.unit;
    out["classes"] = report.classes;
    for (const Measure& m : report.metrics) out[m.key] = with_formula(m);
    out["per_class"] = json_of(report.class_figures, report.classes);
    out["confusion"] = json_of(report.confusion);
    out["attributes"] = Json::object();
    for (const AttributeReport& a : report.attributes) out["attributes"][a.name] = json_of(a, report.classes);
    out["resamples"] = report.options.resamples;
    out["seed"] = report.options.seed;
    out["confidence"] = report.options.confidence;
    out["min_group_size"] = report.options.min_group_size;
    return out;
}

Json to_json(const Comparison& comparison) {
    Json out = {{"samples", comparison.samples}, {"units", comparison.units}};
    put_all(out, comparison.metrics);
    out["attributes"] = Json::object();
    for (const auto& a : comparison.attributes) {
        Json& attribute = out["attributes"][a.name];
        attribute["groups"] = Json::object();
        for (const auto& g : a.groups) {
            attribute["groups"][g.name] = {{"samples", g.samples}};
            put_all(attribute["groups"][g.name], g.metrics);
        }
        attribute["gaps"] = Json::object();
        put_all(attribute["gaps"], a.gaps);
        if (!a.no_gaps.empty()) attribute["reason"] = a.no_gaps;
        for (const Measure& fate : a.fate) {
            attribute[fate.key] = json_of(fate);
            attribute[fate.key]["formula"] = fate.formula;
        }
        if (!a.fate_note.empty()) attribute["fate_note"] = a.fate_note;
    }
    out["resamples"] = comparison.options.resamples;
    out["seed"] = comparison.options.seed;
    out["confidence"] = comparison.options.confidence;
    return out;
}

Json to_json(const Evaluation& e) {
    Json out = to_json(e.report);
    if (e.comparison) out["comparison"] = to_json(*e.comparison);
    if (e.skipped > 0) out["skipped"] = {{"images", e.skipped}, {"first", e.first_skipped}};
    return out;
}

std::string json_text(const Evaluation& e, const std::optional<AtThreshold>& at) {
    Json out = to_json(e);
    if (at) {
        out["threshold"] = to_json(at->threshold);
        out["threshold"]["report"] = to_json(at->evaluation);
        if (at->other) out["threshold"]["other"] = to_json(*at->other);
    }
    return out.dump(2) + "\n";
}

}  // namespace fp
