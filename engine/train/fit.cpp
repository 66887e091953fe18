#include "engine/train/fit.h"

#include <chrono>
#include <cmath>
#include <limits>

#include "engine/data/attributes.h"
#include "engine/io/json.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// Keys of random numbers, so that no two uses meet.
enum Key : uint64_t { kSampling = 1, kAugment = 2, kDropout = 3 };

struct TrainSplit {
    std::vector<int64_t> samples;
    std::vector<int> labels, groups;
};

TrainSplit train_split(const ImageData& data, const FitOptions& o) {
    TrainSplit out{.samples = members(data.set, Split::train), .labels = {}, .groups = {}};
    FP_REQUIRE(!out.samples.empty(), Exit::data, data.set.name, ": the training split is empty");
    for (const int64_t s : out.samples) out.labels.push_back(data.set.samples[s].label);
    if (o.sampling == Sampling::group_balanced || o.sampling == Sampling::class_group_balanced) {
        FP_REQUIRE(!o.sampling_attribute.empty(), Exit::usage,
                   "sampling by group needs an --attribute");
        const Grouping g = group_by(data.set, o.sampling_attribute);
        require_comparable(g);
        for (const int64_t s : out.samples) out.groups.push_back(g.of[s]);
    }
    return out;
}

ordered_json to_json(const Plateau& p) {
    return {{"best", number_or_null(p.best)}, {"waited", p.waited}, {"drops", p.drops}};
}
Plateau plateau_from(const ordered_json& j) {
    Plateau p{.waited = j.at("waited").get<int>(), .drops = j.at("drops").get<int>()};
    if (!j.at("best").is_null()) p.best = j.at("best").get<double>();
    return p;
}

// Names that are unknown are found before the first epoch, not after it.
void check_names(const ImageData& data, const std::vector<int64_t>& samples, const FitOptions& o) {
    learning_rate(o.schedule, o.schedule.warmup, o.epochs);
    Predictions blind = no_predictions(data);
    const std::vector<float> even(data.set.classes.size(), 1 / float(data.set.classes.size()));
    for (const int64_t s : samples) add_prediction(blind, data, s, even.data());
    selection_value(blind, o.select, o.attributes);
}

}  // namespace

ordered_json start_of_run() {
    return {{"epoch", 0},      {"batch", 0},      {"loss", 0.0},
            {"penalty", 0.0},  {"samples", 0},    {"correct", 0},
            {"best", nullptr}, {"best_epoch", 0}, {"plateau", to_json(Plateau())}};
}

std::vector<double> balanced_class_weights(const Dataset& set) {
    const size_t classes = set.classes.size();
    std::vector<double> weight(classes, 0.0);
    const auto samples = members(set, Split::train);
    for (const int64_t s : samples) weight[set.samples[s].label] += 1;
    for (double& w : weight) w = w > 0 ? double(samples.size()) / (double(classes) * w) : 0;
    return weight;
}

ordered_json brief_metrics(const Predictions& p, const std::vector<std::string>& attributes) {
    const Report report = evaluate(p, attributes, {.resamples = 0});
    ordered_json out{{"samples", report.samples}, {"loss", number_or_null(mean_loss(p))}};
    for (const Measure& m : report.metrics) out[m.key] = number_or_null(m.value);
    for (const AttributeReport& a : report.attributes) {
        ordered_json groups = ordered_json::object(), gaps = ordered_json::object();
        for (const GroupReport& g : a.groups) {
            ordered_json row{{"samples", g.samples}};
            for (const Measure& m : g.metrics) row[m.key] = number_or_null(m.value);
            groups[g.name] = row;
        }
        for (const Gap& g : a.gaps) gaps[g.key] = number_or_null(g.value);
        out["attributes"][a.name] = {{"groups", groups}, {"gaps", gaps}};
    }
    return out;
}

double selection_value(const Predictions& p,
                       const std::string& select,
                       const std::vector<std::string>& attributes) {
    // rms^2 subtracts what noise adds to a gap, which takes a bootstrap; -rms^2 itself, as it may be negative.
    const bool by_rms = select.starts_with("rms:");
    const Report report = evaluate(p, attributes, {.resamples = by_rms ? 200 : 0});
    if (by_rms)
        for (const AttributeReport& a : report.attributes)
            if (a.name == select.substr(4))
                return a.no_gaps.empty() ? -a.gap("eodd_mean").rms_squared : kNotEstimable;
    if (select == "loss") return -mean_loss(p);
    if (const size_t colon = select.find(':'); colon != std::string::npos) {
        const std::string key = select.substr(0, colon), attribute = select.substr(colon + 1);
        for (const AttributeReport& a : report.attributes)
            if (a.name == attribute) {
                if (key == "worst")  // the worst group's accuracy
                    for (const WorstGroup& w : a.worst)
                        if (w.measure.key == "accuracy") return w.measure.value;
                for (const Gap& g : a.gaps)
                    if (g.key == key) return -g.value;
                if (a.gaps.empty()) return std::numeric_limits<double>::quiet_NaN();
                fail_with(Exit::usage, "--select ", select, ": no gap is called ", key);
            }
        fail_with(Exit::usage, "--select ", select, ": ", attribute,
                  " is no --attribute of this run");
    }
    for (const Measure& m : report.metrics)
        if (m.key == select) return m.value;
    fail_with(Exit::usage, "--select ", select,
              " is unknown: loss, accuracy, balanced_accuracy, macro_f1, macro_auc, "
              "rms:ATTRIBUTE, worst:ATTRIBUTE or GAP:ATTRIBUTE");
}

bool fit(Trainer& trainer,
         const Preprocessing& preprocessing,
         const ImageData& data,
         const FitOptions& o,
         const ordered_json& place,
         const FitHooks& hooks) {
    const TrainSplit split = train_split(data, o);
    const auto validation = members(data.set, Split::val);
    FP_REQUIRE(!validation.empty(), Exit::data, data.set.name, ": the validation split is empty");
    check_names(data, validation, o);
    const int batch_size = int(std::min<int64_t>(o.batch_size, int64_t(split.samples.size())));
    Loader loader(data.source, data.labels(),
                  {.batch_size = batch_size,
                   .image_size = preprocessing.image_size,
                   .workers = o.workers,
                   .ready = data.ready,
                   .drop_last = true,
                   .skip_bad = o.skip_bad,
                   .augment = o.augment,
                   .memory = &trainer.network().kernels().memory});
    double best = place.at("best").is_null() ? -std::numeric_limits<double>::infinity()
                                             : place.at("best").get<double>();
    int best_epoch = place.at("best_epoch").get<int>();
    Plateau plateau;
    if (place.contains("plateau")) plateau = plateau_from(place.at("plateau"));
    int64_t first_batch = place.at("batch").get<int64_t>();
    Sums sums{.loss = place.at("loss").get<double>(),
              .penalty = place.at("penalty").get<double>(),
              .samples = place.at("samples").get<int64_t>(),
              .correct = place.at("correct").get<int64_t>()};
    auto place_at = [&](int epoch, int64_t batch) -> ordered_json {
        return {{"epoch", epoch},
                {"batch", batch},
                {"loss", sums.loss},
                {"penalty", sums.penalty},
                {"samples", sums.samples},
                {"correct", sums.correct},
                {"best", number_or_null(best)},
                {"best_epoch", best_epoch},
                {"plateau", to_json(plateau)}};
    };

    for (int epoch = place.at("epoch").get<int>(); epoch < o.epochs; ++epoch) {
        const double started = now(), waited = loader.seconds_waiting();
        std::vector<int64_t> order = epoch_order(o.sampling, split.labels, split.groups,
                                                 key_of(o.seed, kSampling), uint64_t(epoch));
        for (int64_t& position : order) position = split.samples[position];
        loader.start(std::move(order), key_of(o.seed, kAugment, uint64_t(epoch)), first_batch);
        const int64_t batches =
            o.limit_batches > 0 ? std::min(o.limit_batches, loader.batches()) : loader.batches();
        double lr = 0;
        int64_t images = 0;
        Batch batch;
        while (loader.next(batch)) {
            const int64_t done = batch.number + 1;
            lr = learning_rate(o.schedule, epoch + double(batch.number) / double(batches), o.epochs,
                               plateau);
            const bool ends_step = done % o.trainer.accumulate == 0 || done == batches;
            const Sums step = trainer.batch(
                batch, lr, key_of(kDropout, uint64_t(epoch), uint64_t(batch.number)), ends_step);
            sums.loss += step.loss;
            sums.penalty += step.penalty;
            sums.samples += step.samples;
            sums.correct += step.correct;
            images += step.samples;
            if (hooks.progress)
                hooks.progress({.epoch = epoch,
                                .epochs = o.epochs,
                                .batch = done,
                                .batches = batches,
                                .loss = sums.loss / double(std::max<int64_t>(sums.samples, 1)),
                                .lr = lr,
                                .seconds = now() - started,
                                .waiting_seconds = loader.seconds_waiting() - waited,
                                .images = images});
            if (done == batches) break;
            if (!ends_step) continue;
            const bool stopping = hooks.stop && hooks.stop();
            if (hooks.save && (stopping || (hooks.save_every > 0 && done % hooks.save_every == 0)))
                hooks.save(place_at(epoch, done), false);
            if (stopping) return false;
        }
        trainer.check_update();
        const double train_seconds = now() - started;

        EpochResult result{.epoch = epoch + 1, .metrics = {}, .selected = 0, .best = false};
        const double samples = double(std::max<int64_t>(sums.samples, 1));
        result.metrics = {{"epoch", epoch + 1},
                          {"train",
                           {{"loss", sums.loss / samples},
                            {"accuracy", double(sums.correct) / samples},
                            {"samples", sums.samples},
                            {"lr", lr}}}};
        if (o.trainer.penalty) result.metrics["train"]["snnl_penalty"] = sums.penalty / samples;
        const PredictOptions predict_options{
            .batch_size = batch_size, .workers = o.workers, .skip_bad = o.skip_bad};
        auto validate = [&] {
            const Predictions p =
                predict({trainer.session(), preprocessing, data, validation, predict_options});
            result.selected = selection_value(p, o.select, o.attributes);
            return brief_metrics(p, o.attributes);
        };
        if (trainer.has_average()) {
            result.metrics["val_raw"] = validate();
            const Trainer::Averaged averaged(trainer);
            result.metrics["val"] = validate();
        } else {
            result.metrics["val"] = validate();
        }
        result.metrics["select"] = {{"by", o.select}, {"value", number_or_null(result.selected)}};
        result.metrics["weights"] = weights_hash(trainer.network());
        plateau.see(result.selected, o.schedule.patience);
        result.best = result.selected > best || best_epoch == 0;
        if (result.best) {
            best = std::isfinite(result.selected) ? result.selected : best;
            best_epoch = epoch + 1;
        }
        result.metrics["seconds"] = {{"train", train_seconds},
                                     {"waiting", loader.seconds_waiting() - waited},
                                     {"images_per_second", double(images) / train_seconds},
                                     {"val", now() - started - train_seconds}};
        if (hooks.epoch) hooks.epoch(result);
        sums = {};
        first_batch = 0;
        if (hooks.save) hooks.save(place_at(epoch + 1, 0), result.best);
        if (hooks.stop && hooks.stop() && epoch + 1 < o.epochs) return false;
    }
    return true;
}

}  // namespace fp
