#include "engine/train/train_json.h"

#include <nlohmann/json.hpp>

#include "engine/io/json.h"
#include "engine/run/version.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

void add(ordered_json& out, const auto& figures) {
    for (const Measure& f : figures) out[f.key] = number_or_null(f.value);
}

// The figures among an object's members.
template <class Figure>
std::vector<Figure> figures_in(const JsonValue& json) {
    std::vector<Figure> out;
    for (const auto& [key, value] : json.members()) {
        if (key == "samples" || key == "loss" || key == "attributes") continue;
        Figure& figure = out.emplace_back();
        figure.key = key;
        read(value, figure.value);
    }
    return out;
}

}  // namespace

void write(ordered_json& out, const Summary& s) {
    out = {{"samples", s.samples}, {"loss", number_or_null(s.loss)}};
    add(out, s.metrics);
    for (const AttributeReport& a : s.attributes) {
        ordered_json groups = ordered_json::object(), gaps = ordered_json::object();
        for (const GroupReport& g : a.groups) {
            groups[g.name] = {{"samples", g.samples}};
            add(groups[g.name], g.metrics);
        }
        add(gaps, a.gaps);
        out["attributes"][a.name] = {{"groups", groups}, {"gaps", gaps}};
    }
}

void read(const JsonValue& json, Summary& s) {
    read(json.at("samples"), s.samples);
    read(json.at("loss"), s.loss);
    s.metrics = figures_in<Measure>(json);
    if (!json.has("attributes")) return;
    for (const auto& [name, attribute] : json.at("attributes").members()) {
        AttributeReport& a = s.attributes.emplace_back();
        a.name = name;
        for (const auto& [group, figures] : attribute.at("groups").members()) {
            GroupReport& g = a.groups.emplace_back();
            g.name = group;
            g.metrics = figures_in<Measure>(figures);
            read(figures.at("samples"), g.samples);
        }
        a.gaps = figures_in<Gap>(attribute.at("gaps"));
    }
}

ordered_json to_json(const PlaceboNote& p) { return {{"seed", p.seed}, {"seen_by", p.seen_by}, {"note", to_text(p)}}; }

ordered_json to_json(const TrainingSettings& t) {
    ordered_json out{{"epochs", t.epochs},
                     {"lr", t.schedule.lr},
                     {"schedule", t.schedule.kind->name},
                     {"optimizer", t.optimizer.kind->name},
                     {"sampler", t.sampler->name},
                     {"augment", t.augment},
                     {"ema", t.ema}};
    if (!(t.sample_weights == SampleWeighting::none)) out["sample_weights"] = t.sample_weights->name;
    if (t.group_dro.eta > 0)
        out["group_dro"] = {{"eta", t.group_dro.eta}, {"over", t.group_dro.by_class ? "class-group" : "group"}};
    if (const auto placebo = placebo_note(t)) out["placebo"] = to_json(*placebo);
    if (t.snnl.weight > 0)
        out["snnl"] = {{"weight", t.snnl.weight},
                       {"layers", t.snnl.layers},
                       {"tap", name(t.snnl.tap)},
                       {"temperature", t.snnl.temperature},
                       {"given_class", t.snnl.given_class}};
    return out;
}

std::vector<Setting> settings_by_name(const TrainingSettings& t, const std::string& prefix) {
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
                            {"limit_batches", t.limit_batches},
                            {"limit_train", t.limit_train},
                            {"overfit_batches", t.overfit_batches}};
    out.update(rest);
    if (t.sync_norms) out["sync_bn"] = true;
    return settings_of(out, prefix);
}

std::vector<Setting> settings_by_name(const FitOptions& o) {
    std::vector<Setting> out = settings_by_name(o.settings);
    out.push_back({"seed", std::to_string(o.seed)});
    out.push_back({"batch_size", std::to_string(o.batch_size)});
    return out;
}

std::vector<Setting> settings_of(const ordered_json& object, const std::string& prefix) {
    std::vector<Setting> out;
    for (const auto& [name, value] : object.items()) out.push_back({prefix + name, value.dump()});
    return out;
}

void append_to(Metrics& metrics, const EpochResult& r, int64_t step, std::optional<int> round) {
    ordered_json train{
        {"loss", r.train.loss}, {"accuracy", r.train.accuracy}, {"samples", r.train.samples}, {"lr", r.train.lr}};
    if (r.train.penalty) train["snnl_penalty"] = *r.train.penalty;
    if (r.train.weighted_loss) train["weighted_loss"] = *r.train.weighted_loss;
    for (size_t g = 0; g < r.train.q.size(); ++g) train["group_dro"][r.train.q_groups[g]] = r.train.q[g];
    train["drawn"] = {{"groups", r.train.drawn_groups}, {"counts", r.train.drawn}};
    ordered_json row{{"epoch", r.epoch}, {"train", train}};
    if (r.val_raw) row["val_raw"] = to_json(*r.val_raw);
    row["val"] = to_json(r.val);
    row["select"] = {{"by", r.select}, {"value", number_or_null(r.selected)}};
    row["weights"] = r.weights;
    if (round) row["round"] = *round;
    row["step"] = step;
    metrics.append(row, {{"train", r.seconds.train},
                         {"waiting", r.seconds.waiting},
                         {"images_per_second", r.seconds.images_per_second},
                         {"val", r.seconds.val}});
}

std::string provenance_of(const std::string& tool, const Dataset& set, const TrainingSettings& t) {
    ordered_json out{{"tool", version_line(tool)}, {"data", {{"name", set.name}, {"split", split_hash(set)}}}};
    if (const auto placebo = placebo_note(t)) out["placebo"] = to_json(*placebo);
    return json_line(out);
}

std::string train_document(const std::string& out,
                           const Metrics& metrics,
                           const ImageData& data,
                           const std::optional<ImportReport>& imported) {
    ordered_json document{{"out", out}, {"epochs", metrics.rows()}};
    JsonWriter writer{document};
    writer("skipped", skipped_of(data));
    writer("weights", imported);
    return json_text(document, 2);
}

std::string to_text(const FitPosition& p) { return json_line(to_json(p)); }

FitPosition parse_fit_position(const std::string& text) {
    const ordered_json json = parse_json(text, "the position in a checkpoint", Exit::model);
    return from_json<FitPosition>({.json = json, .where = "the position in a checkpoint", .exit = Exit::model});
}

}  // namespace fp
