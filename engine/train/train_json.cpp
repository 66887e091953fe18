#include "engine/train/train_json.h"

#include <nlohmann/json.hpp>

#include "engine/io/json.h"
#include "engine/run/version.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

void add(ordered_json& out, const std::vector<Figure>& figures) {
    for (const Figure& f : figures) out[f.key] = number_or_null(f.value);
}

}  // namespace

ordered_json to_json(const Summary& s) {
    ordered_json out{{"samples", s.samples}, {"loss", number_or_null(s.loss)}};
    add(out, s.metrics);
    for (const AttributeSummary& a : s.attributes) {
        ordered_json groups = ordered_json::object(), gaps = ordered_json::object();
        for (const GroupSummary& g : a.groups) {
            groups[g.name] = {{"samples", g.samples}};
            add(groups[g.name], g.metrics);
        }
        add(gaps, a.gaps);
        out["attributes"][a.name] = {{"groups", groups}, {"gaps", gaps}};
    }
    return out;
}

ordered_json to_json(const TrainingSettings& t) {
    ordered_json out{{"epochs", t.epochs},
                     {"lr", t.schedule.lr},
                     {"schedule", t.schedule.kind->name},
                     {"optimizer", t.optimizer.kind->name},
                     {"sampler", t.sampler->name},
                     {"augment", t.augment},
                     {"ema", t.ema}};
    if (t.snnl.weight > 0)
        out["snnl"] = {{"weight", t.snnl.weight},
                       {"layers", t.snnl.layers},
                       {"tap", name(t.snnl.tap)},
                       {"temperature", t.snnl.temperature},
                       {"given_class", t.snnl.given_class}};
    return out;
}

ordered_json all_to_json(const TrainingSettings& t) {
    ordered_json out = to_json(t);
    const ordered_json rest{{"final_lr", t.schedule.final_lr},
                            {"warmup", t.schedule.warmup},
                            {"step", t.schedule.step},
                            {"milestones", t.schedule.milestones},
                            {"gamma", t.schedule.gamma},
                            {"power", t.schedule.power},
                            {"patience", t.schedule.patience},
                            {"momentum", t.optimizer.momentum},
                            {"nesterov", t.optimizer.nesterov},
                            {"weight_decay", t.optimizer.weight_decay},
                            {"decay_all", t.optimizer.decay_all},
                            {"beta1", t.optimizer.beta1},
                            {"beta2", t.optimizer.beta2},
                            {"eps", t.optimizer.eps},
                            {"clip_norm", t.optimizer.clip_norm},
                            {"class_weights", t.class_weights},
                            {"select", t.select},
                            {"label_smoothing", t.label_smoothing},
                            {"accumulate", t.accumulate},
                            {"skip_bad", t.skip_bad},
                            {"limit_batches", t.limit_batches}};
    out.update(rest);
    return out;
}

ordered_json epoch_row(const EpochResult& r) {
    ordered_json train{
        {"loss", r.train.loss}, {"accuracy", r.train.accuracy}, {"samples", r.train.samples}, {"lr", r.train.lr}};
    if (r.train.penalty) train["snnl_penalty"] = *r.train.penalty;
    ordered_json out{{"epoch", r.epoch}, {"train", train}};
    if (r.val_raw) out["val_raw"] = to_json(*r.val_raw);
    out["val"] = to_json(r.val);
    out["select"] = {{"by", r.select}, {"value", number_or_null(r.selected)}};
    out["weights"] = r.weights;
    return out;
}

ordered_json epoch_times(const EpochResult& r) {
    return {{"train", r.seconds.train},
            {"waiting", r.seconds.waiting},
            {"images_per_second", r.seconds.images_per_second},
            {"val", r.seconds.val}};
}

ordered_json to_json(const FitPosition& p) {
    return {{"epoch", p.epoch},
            {"batch", p.batch},
            {"loss", p.sums.loss},
            {"penalty", p.sums.penalty},
            {"samples", p.sums.samples},
            {"correct", p.sums.correct},
            {"best", number_or_null(p.best)},
            {"best_epoch", p.best_epoch},
            {"plateau",
             {{"best", number_or_null(p.plateau.best)}, {"waited", p.plateau.waited}, {"drops", p.plateau.drops}}}};
}

FitPosition fit_position_from(const ordered_json& j) {
    const ordered_json& plateau = j.at("plateau");
    FitPosition out{.epoch = j.at("epoch").get<int>(),
                    .batch = j.at("batch").get<int64_t>(),
                    .sums = {.loss = j.at("loss").get<double>(),
                             .penalty = j.at("penalty").get<double>(),
                             .samples = j.at("samples").get<int64_t>(),
                             .correct = j.at("correct").get<int64_t>()},
                    .best_epoch = j.at("best_epoch").get<int>(),
                    .plateau = {.waited = plateau.at("waited").get<int>(), .drops = plateau.at("drops").get<int>()}};
    if (!j.at("best").is_null()) out.best = j.at("best").get<double>();
    if (!plateau.at("best").is_null()) out.plateau.best = plateau.at("best").get<double>();
    return out;
}

void append_to(Metrics& metrics, const EpochResult& r, int64_t step) {
    ordered_json row = epoch_row(r);
    row["step"] = step;
    metrics.append(row, epoch_times(r));
}

std::string provenance_of(const std::string& tool, const Dataset& set) {
    return ordered_json{{"tool", version_line(tool)}, {"data", {{"name", set.name}, {"split", split_hash(set)}}}}
        .dump();
}

std::string train_document(const std::string& out, const Metrics& metrics, const ImageData& data) {
    ordered_json document{{"out", out}, {"epochs", metrics.rows()}};
    if (data.unreadable)
        if (const auto reasons = data.unreadable->reasons(); !reasons.empty())
            document["skipped"] = {{"images", reasons.size()}, {"first", reasons.begin()->second}};
    return document.dump(2) + "\n";
}

std::string to_text(const FitPosition& p) { return json_line(to_json(p)); }

FitPosition parse_fit_position(const std::string& text) { return fit_position_from(ordered_json::parse(text)); }

}  // namespace fp
