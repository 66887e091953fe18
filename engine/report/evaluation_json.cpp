#include <cmath>

#include "engine/fairness/primary_gap.h"
#include "engine/io/json.h"
#include "engine/report/offsets.h"
#include "engine/run/checkpoint_json.h"

namespace fp {

static void fields(const Measure& m, JsonWriter& out) {
    out("value", m.value);
    out("low", m.low);
    out("high", m.high);
    out.if_any("reason", m.reason);
}

static void put_all(JsonWriter out, const auto& figures) {
    for (const auto& figure : figures) out(figure.key.c_str(), figure);
}

static void put_with_formula(JsonWriter out, const std::vector<Measure>& measures) {
    put_all(out, measures);
    for (const Measure& m : measures) inside(out, m.key.c_str())("formula", m.formula);
}

static void fields(const Gap& g, JsonWriter& out) {
    fields(static_cast<const Measure&>(g), out);
    out("fair_low", g.fair_low);
    out("fair_high", g.fair_high);
    out("p", g.p);
    out("permuted", kPermuted);
    out("rms", g.rms);
    out("rms_low", g.rms_low);
    out("rms_high", g.rms_high);
    out("rms_squared", g.rms_squared);
    out.if_any("rms_reason", g.rms_reason);
    if (!g.group_a.empty()) {
        out("pair", std::vector{g.group_a, g.group_b});
        out("mean_pair", g.mean_pair);
    }
    if (!std::isnan(g.signed_gap.value)) out("signed", g.signed_gap);
    if (g.classes > 0) {
        out("classes", g.classes);
        out("classes_absent_from_a_group", g.absent);
        out("rms_classes", g.rms_classes);
    }
    out("formula", g.formula);
    out.if_any("verdict", g.verdict);
}

static void fields(const PrimaryGap& g, JsonWriter& out) {
    out("key", kPrimaryKey);
    out("formula", kPrimaryFormula);
    out("rms", g.rms);
    out("low", g.low);
    out("high", g.high);
    out("rms_squared", g.rms_squared);
    out("fair_high", g.fair_high);
    out("p", g.p);
    out("p_holm", g.p_holm);
    out("classes", g.classes);
    out("pairs", g.pairs);
    out.if_any("reason", g.reason);
    out.if_any("verdict", g.verdict);
}

// A row per class.
static std::vector<std::vector<int64_t>> rows_of(const Confusion& confusion) {
    std::vector<std::vector<int64_t>> rows(size_t(confusion.classes));
    for (int t = 0; t < confusion.classes; ++t)
        for (int p = 0; p < confusion.classes; ++p) rows[size_t(t)].push_back(confusion.at(t, p));
    return rows;
}

// The matrix, or where that would be large, its cells that are not 0: [truth, predicted, count].
static void put_confusion(JsonWriter& out, const Confusion& confusion) {
    constexpr int kMostRows = 200;
    if (confusion.classes <= kMostRows) return out("confusion", rows_of(confusion));
    std::vector<std::vector<int64_t>> cells;
    for (int t = 0; t < confusion.classes; ++t)
        for (int p = 0; p < confusion.classes; ++p)
            if (const int64_t count = confusion.at(t, p); count != 0) cells.push_back({t, p, count});
    out("confusion_cells", cells);
}

static void fields(const ClassFigures& c, JsonWriter& out) {
    out("positives", c.positives);
    out("predicted", c.predicted);
    out("tpr", c.tpr);
    out("fpr", c.fpr);
    out("selected", c.selected);
}

static void put_classes(JsonWriter out,
                        const std::vector<ClassFigures>& figures,
                        const std::vector<std::string>& names) {
    for (size_t c = 0; c < names.size(); ++c) out(names[c].c_str(), figures[c]);
}

static void fields(const ReliabilityBin& b, JsonWriter& out) {
    out("samples", b.samples);
    out("confidence", b.confidence);
    out("accuracy", b.accuracy);
}

static void put_calibration(JsonWriter out, const Calibration& c, const std::vector<std::string>& classes) {
    out("classwise_ece", c.classwise);
    JsonWriter per_class = inside(out, "per_class");
    for (size_t i = 0; i < classes.size(); ++i) per_class(classes[i].c_str(), c.class_ece[i]);
    out("reliability", c.reliability);
}

static void fields(const CalibrationGap& g, JsonWriter& out) {
    out("value", g.value);
    out("fair_high", g.fair_high);
    out("p", g.p);
    if (!g.group_a.empty()) out("pair", std::vector{g.group_a, g.group_b});
    out("classes", g.classes);
    out.if_any("reason", g.reason);
}

static void put_group(JsonWriter out, const GroupReport& group, const std::vector<std::string>& classes) {
    out("samples", group.samples);
    out("units", group.units);
    out("in_gaps", group.in_gaps);
    out.if_any("reason", group.reason);
    put_all(out, group.metrics);
    put_classes(inside(out, "per_class"), group.classes, classes);
    put_confusion(out, group.confusion);
    if (!group.calibration.reliability.empty()) put_calibration(inside(out, "calibration"), group.calibration, classes);
}

static void fields(const WorstGroup& w, JsonWriter& out) {
    out("group", w.group);
    out("samples", w.samples);
    fields(w.measure, out);
    out("stays_worst", w.stays_worst);
}

static void put_attribute(JsonWriter out, const AttributeReport& a, const std::vector<std::string>& classes) {
    JsonWriter groups = inside(out, "groups");
    for (const GroupReport& g : a.groups) put_group(inside(groups, g.name.c_str()), g, classes);
    if (a.no_gaps.empty()) out("primary", a.primary);
    put_all(inside(out, "gaps"), a.gaps);
    out.if_any("reason", a.no_gaps);
    JsonWriter worst = inside(out, "worst_group");
    for (const WorstGroup& w : a.worst) worst(w.measure.key.c_str(), w);
    out("calibration_gap", a.calibration);
    out("unknown", a.unknown);
    out("groups_left_out", a.groups_left_out);
    out("samples_left_out", a.samples_left_out);
    out("units_in_two_groups", a.units_in_two_groups);
}

static void fields(const Difference& d, JsonWriter& out) {
    out("model", d.model);
    out("other", d.other);
    fields(static_cast<const Measure&>(d), out);
    if (std::isnan(d.fair))
        out("p", d.p);
    else
        out("rms_squared",
            Measure{
                .value = d.rms_squared, .low = d.rms_squared_low, .high = d.rms_squared_high, .reason = d.rms_reason});
    out("formula", d.formula);
    out.if_any("verdict", d.verdict);
}

static void fields(const PrimaryDifference& d, JsonWriter& out) {
    out("key", kPrimaryKey);
    out("formula", kPrimaryFormula);
    out("model", d.model);
    out("other", d.other);
    out("value", d.value);
    out("sd", d.sd);
    out("low", d.low);
    out("high", d.high);
    out("p", d.p);
    out("p_holm", d.p_holm);
    out("classes", d.classes);
    out("pairs", d.pairs);
    out.if_any("reason", d.reason);
    out.if_any("verdict", d.verdict);
}

static void put_attribute(JsonWriter out, const AttributeComparison& a) {
    JsonWriter groups = inside(out, "groups");
    for (const GroupComparison& g : a.groups) {
        JsonWriter group = inside(groups, g.name.c_str());
        group("samples", g.samples);
        put_all(group, g.metrics);
    }
    if (a.no_gaps.empty()) out("primary", a.primary);
    put_all(inside(out, "gaps"), a.gaps);
    out.if_any("reason", a.no_gaps);
    put_with_formula(out, a.fate);
    out.if_any("fate_note", a.fate_note);
}

void fields(const Report& r, JsonWriter& out) {
    out("samples", r.samples);
    out("units", r.units);
    out("unit", r.unit);
    out("classes", r.classes);
    put_with_formula(out, r.metrics);
    put_classes(inside(out, "per_class"), r.class_figures, r.classes);
    put_confusion(out, r.confusion);
    JsonWriter attributes = inside(out, "attributes");
    for (const AttributeReport& a : r.attributes) put_attribute(inside(attributes, a.name.c_str()), a, r.classes);
    out("resamples", r.options.resamples);
    out("seed", r.options.seed);
    out("confidence", r.options.confidence);
    out("min_group_size", r.options.min_group_size);
}

void fields(const Comparison& c, JsonWriter& out) {
    out("samples", c.samples);
    out("units", c.units);
    put_all(out, c.metrics);
    JsonWriter attributes = inside(out, "attributes");
    for (const AttributeComparison& a : c.attributes) put_attribute(inside(attributes, a.name.c_str()), a);
    out("resamples", c.options.resamples);
    out("seed", c.options.seed);
    out("confidence", c.options.confidence);
    out("margin", c.options.margin);
    out("with", c.other);
}

static void fields(const Finding& f, JsonWriter& out) {
    out("kind", name(f.kind));
    out.if_any("metric", f.metric);
    out.if_any("attribute", f.attribute);
    out.if_any("group", f.group);
    out("text", f.text);
    out("size", f.size);
    const std::pair<const char*, double> figures[] = {
        {"before", f.before}, {"after", f.after},         {"change", f.change}, {"low", f.low},
        {"high", f.high},     {"fair_high", f.fair_high}, {"p", f.p},           {"p_holm", f.p_holm}};
    for (const auto& [key, value] : figures)
        if (!std::isnan(value)) out(key, value);
}

void fields(const Verdict& v, JsonWriter& out) {
    out("summary", v.summary);
    out("findings", v.findings);
}

void fields(const Evaluation& e, JsonWriter& out) {
    fields(e.report, out);
    out("verdict", e.verdict);
    out("comparison", e.comparison);
    out("skipped", e.skipped);
    out("judged", e.judged);
    out("test_reads", e.test_reads);
}

static void fields(const AtThreshold& at, JsonWriter& out) {
    fields(at.threshold, out);
    out("report", at.evaluation);
    out("other", at.other);
}

void put_evaluation(JsonWriter& out, const Evaluation& e, const std::optional<AtThreshold>& at) {
    fields(e, out);
    out("threshold", at);
}

std::string json_text(const Evaluation& e, const std::optional<AtThreshold>& at, const WithOffsets* offsets) {
    return json_document([&](nlohmann::ordered_json& document) {
        JsonWriter out{make_object(document)};
        put_evaluation(out, e, at);
        if (offsets) out("group_offsets", *offsets);
    });
}

}  // namespace fp
