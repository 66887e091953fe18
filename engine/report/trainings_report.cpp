#include "engine/report/trainings_report.h"

#include "engine/io/json.h"
#include "engine/report/evaluation.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

std::string heading(const std::string& what, bool pairs) {
    return pairs ? row(what, fmt::format("{:<8}{:<8}{:<9}{:<20}{:<8}{}", "ours", "other", "change", "interval", "p",
                                         "detect"))
                 : row(what, fmt::format("{:<8}{:<20}{:<14}{}", "mean", "interval", "sd trainings", "error of units"));
}

// "0.0312", "<0.0001".
std::string p_cell(double p) { return p < 5e-5 ? "<0.0001" : number(p); }

std::string figure_row(const TrainingsFigure& f) {
    const CrossedEstimate& e = f.difference ? *f.difference : f.ours;
    if (std::isnan(e.mean)) return row(f.key, fmt::format("n/a ({})", e.reason));
    if (!f.difference)
        return row(f.key, fmt::format("{:<8}{:<20}{:<14}{}", number(e.mean), range(e.low, e.high),
                                      number(e.sd_trainings), number(e.error_units)));
    return row(f.key,
               fmt::format("{:<8}{:<8}{:<9}{:<20}{:<8}{}", number(f.ours.mean), number(f.other->mean),
                           fmt::format("{:+.4f}", e.mean), range(e.low, e.high), p_cell(e.p), number(e.detectable)));
}

std::string figure_table(const std::string& name, const std::vector<TrainingsFigure>& figures) {
    std::string out = heading(name, !figures.empty() && figures[0].difference);
    for (const TrainingsFigure& f : figures) out += figure_row(f);
    return out;
}

std::string legend(const TrainingsReport& r, bool pairs) {
    std::string out =
        fmt::format("interval: {:.0f} %, for other units and other trainings (crossed random effects, Student's t).",
                    100 * r.options.confidence);
    if (!r.attributes.empty())
        out += " rms_squared: the square of the primary gap, below 0 where it is less than noise.";
    if (pairs)
        out += fmt::format(
            " detect: the smallest change that {} on these units find with power 0.8; a change up to the interval's "
            "ends is not excluded. p are those of single tests: name the figure before looking, or correct them.",
            counted(r.trainings, "pair of trainings", "pairs of trainings"));
    return wrapped(out, 0);
}

}  // namespace

static void fields(const CrossedEstimate& e, JsonWriter& out) {
    out("values", e.values);
    out("mean", e.mean);
    out("low", e.low);
    out("high", e.high);
    out("p", e.p);
    out("sd_trainings", e.sd_trainings);
    out("error_units", e.error_units);
    out("error", e.error);
    out("freedom", e.freedom);
    out("detectable", e.detectable);
    out.if_any("reason", e.reason);
}

static void fields(const TrainingsFigure& f, JsonWriter& out) {
    out("formula", f.formula);
    out("ours", f.ours);
    out("other", f.other);
    out("difference", f.difference);
}

static void put_figures(JsonWriter out, const std::vector<TrainingsFigure>& figures) {
    for (const TrainingsFigure& f : figures) out(f.key.c_str(), f);
}

void fields(const TrainingsReport& r, JsonWriter& out) {
    out("trainings", r.trainings);
    out("samples", r.samples);
    out("units", r.units);
    put_figures(inside(out, "metrics"), r.metrics);
    JsonWriter attributes = inside(out, "attributes");
    for (const TrainingsReport::Attribute& a : r.attributes) {
        JsonWriter attribute = inside(attributes, a.name.c_str());
        put_figures(inside(attribute, "figures"), a.figures);
        attribute.if_any("reason", a.no_gaps);
    }
    out("resamples", r.options.resamples);
    out("seed", r.options.seed);
    out("confidence", r.options.confidence);
    out("min_group_size", r.options.min_group_size);
}

void put_trainings(JsonWriter& out,
                   const TrainingsReport& r,
                   const std::vector<std::vector<std::string>>& files,
                   const std::optional<TestReads>& reads) {
    fields(r, out);
    if (!files.empty()) out("files", files);
    out("test_reads", reads);
}

std::string json_text(const TrainingsReport& r,
                      const std::vector<std::vector<std::string>>& files,
                      const std::optional<TestReads>& reads) {
    return json_document([&](nlohmann::ordered_json& document) {
        JsonWriter out{make_object(document)};
        put_trainings(out, r, files, reads);
    });
}

std::string to_text(const TrainingsReport& r, const std::optional<TestReads>& reads) {
    const bool pairs = !r.metrics.empty() && r.metrics[0].difference;
    std::string out = aside(fmt::format("{}, judged on {}, {}; {}, seed {}",
                                        pairs ? counted(r.trainings, "pair of trainings", "pairs of trainings")
                                              : counted(r.trainings, "training"),
                                        counted(r.samples, "sample"), counted(r.units, "unit"),
                                        counted(r.options.resamples, "resample"), r.options.seed),
                            0);
    if (reads) out += wrapped(sentence(*reads), 0);
    out += "\n" + figure_table("metric", r.metrics);
    for (const TrainingsReport::Attribute& a : r.attributes) {
        out += "\n" + figure_table(a.name, a.figures);
        if (!a.no_gaps.empty()) out += aside("no gaps: " + a.no_gaps, 0);
    }
    return out + "\n" + legend(r, pairs);
}

}  // namespace fp
