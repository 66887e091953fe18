#include "engine/eval/predict.h"

#include <algorithm>
#include <utility>

#include "engine/core/loss.h"
#include "engine/core/step_graph.h"
#include "engine/data/images.h"
#include "engine/io/csv.h"
#include "engine/parallel/agree.h"
#include "engine/parallel/gather.h"
#include "kernels/error.h"

namespace fp {
namespace {

// "17 the reason" and a NUL for each unreadable image, for other ranks.
std::string packed(const UnreadableImages* images) {
    std::string out;
    if (!images) return out;
    for (const auto& [sample, reason] : images->reasons()) out += text(sample, ' ', reason) + '\0';
    return out;
}

void add_packed(UnreadableImages& images, const std::string& notes) {
    for (size_t at = 0; at < notes.size();) {
        const size_t space = notes.find(' ', at), end = notes.find('\0', at);
        images.add(std::stoll(notes.substr(at, space - at)), notes.substr(space + 1, end - space - 1));
        at = end + 1;
    }
}

// The results of one sample, as ranks exchange them: its number and loss, then classes float32 probabilities.
struct SampleResult {
    int64_t sample;
    double loss;
};

class Results {
public:
    explicit Results(int classes) : classes_(classes) {}

    void add(const SampleResult& result, const float* probabilities) {
        samples_.push_back(result);
        probabilities_.insert(probabilities_.end(), probabilities, probabilities + classes_);
    }
    // Of all ranks, as a table of this data set.
    Predictions table(const ImageData& data, const Comm& ranks) const {
        const std::vector<SampleResult> samples = gather_all(ranks, samples_);
        const std::vector<float> probabilities = gather_all(ranks, probabilities_);
        Predictions out = no_predictions(data);
        for (size_t i = 0; i < samples.size(); ++i) {
            add_prediction(out, data, samples[i].sample, probabilities.data() + i * size_t(classes_));
            out.loss.push_back(samples[i].loss);
        }
        return out;
    }

private:
    int classes_;
    std::vector<SampleResult> samples_;
    std::vector<float> probabilities_;
};

void refuse_repeats(const std::vector<int64_t>& samples) {
    std::vector<int64_t> sorted = samples;
    std::ranges::sort(sorted);
    const auto twice = std::ranges::adjacent_find(sorted);
    FP_CHECK(twice == sorted.end(), "predict: sample ", *twice, " is there twice");
}

// The batches of this rank, alone.
void run_batches(const Pass& pass, LastBatch last, const std::function<void(const Batch&, DeviceInput&)>& visit) {
    const Batches batches = batches_of(pass, last);
    if (batches.own.size() == 0) return;
    const int64_t all = int64_t(pass.samples.size());
    Loader loader(pass.data.source, pass.data.labels(),
                  {.batch_size = batches.size,
                   .image_size = pass.preprocessing.image_size,
                   .workers = pass.options.workers,
                   .processes = std::max(1, pass.ranks().numbered().local_ranks),
                   .ready = pass.data.ready,
                   .drop_last = last == LastBatch::dropped,
                   .skip_bad = pass.options.skip_bad,
                   .memory = &pass.kernels().memory});
    const auto end = std::min<int64_t>(batches.own.end * batches.size, all);
    loader.start({pass.samples.begin(), pass.samples.begin() + end}, 0, batches.own.begin);
    DeviceInput input(pass.kernels(), pass.preprocessing);
    Batch batch;
    while (loader.next(batch)) {
        visit(batch, input);
        if (!pass.options.progress) continue;
        const int64_t done = batch.number + 1 - batches.own.begin, of = batches.own.size();
        pass.options.progress(pass.ranks().alone() ? std::min((batch.number + 1) * batch.n, all) : all * done / of,
                              all);
    }
}

}  // namespace

std::vector<int32_t> ImageData::labels() const {
    std::vector<int32_t> out;
    for (const Sample& s : set.samples) out.push_back(s.label);
    return out;
}

ImageData images_of(Dataset dataset, const ImageOptions& options) {
    // The source outlives this function, and with it the data set that it reads from.
    const auto set = std::make_shared<const Dataset>(std::move(dataset));
    const auto images = std::make_shared<DatasetImages>(*set, options);
    const auto unreadable = std::make_shared<UnreadableImages>();
    const auto read = [set, images, unreadable](int64_t sample, const View& view, int side, uint8_t* rgb) {
        try {
            images->read(sample, view, side, rgb);
        } catch (const Error& error) {
            if (error.exit == Exit::data) unreadable->add(sample, error.what());
            throw;
        }
    };
    return {
        .set = *set, .source = read, .ready = [set, images] { return images->all_cached(); }, .unreadable = unreadable};
}

ImageData open_images(const std::string& spec, const OpenOptions& options) {
    FP_REQUIRE(!spec.empty(), Exit::usage, "--data is missing");
    return images_of(open_dataset(spec, options.dataset), {.image_size = options.image_size,
                                                           .cache = options.cache,
                                                           .progress = options.progress,
                                                           .ranks = options.ranks});
}

std::optional<Skipped> skipped_of(const ImageData& data) {
    const auto reasons = data.unreadable ? data.unreadable->reasons() : std::map<int64_t, std::string>();
    if (reasons.empty()) return std::nullopt;
    return Skipped{.images = int64_t(reasons.size()), .first = reasons.begin()->second};
}

std::string skipped_text(const ImageData& data) {
    const std::optional<Skipped> skipped = skipped_of(data);
    if (!skipped) return "";
    return text(skipped->images, skipped->images == 1 ? " image was" : " images were",
                " skipped as unreadable, the first: ", skipped->first);
}

void write_bad_images(const std::filesystem::path& file, const ImageData& data) {
    if (!data.unreadable) return;
    Table table{.header = {"image", "reason"}};
    for (const auto& [sample, reason] : data.unreadable->reasons())
        table.rows.push_back({data.set.samples[size_t(sample)].image, reason});
    if (!table.rows.empty()) write_csv(file, table);
}

void recall_bad_images(const std::filesystem::path& file, const ImageData& data) {
    if (!data.unreadable || !std::filesystem::exists(file)) return;
    Table table;
    try {
        table = read_csv(file);
    } catch (const Error&) {  // a list for people, which they may have changed
        return;
    }
    const int image = table.column("image"), reason = table.column("reason");
    if (image < 0 || reason < 0) return;
    std::map<std::string_view, std::string_view> reasons;
    for (const Cells& row : table.rows) reasons.emplace(row[size_t(image)], row[size_t(reason)]);
    for (size_t i = 0; i < data.set.samples.size(); ++i)
        if (const auto found = reasons.find(data.set.samples[i].image); found != reasons.end())
            data.unreadable->add(int64_t(i), std::string(found->second));
}

Batches batches_of(const Pass& pass, LastBatch last) {
    const auto all = int64_t(pass.samples.size());
    const bool drop = last == LastBatch::dropped;
    Batches out{.size = drop ? pass.options.batch_size : int(std::min<int64_t>(pass.options.batch_size, all))};
    if (all == 0) return out;
    out.all = drop ? all / out.size : ceil_div(all, out.size);
    out.own = share_of(out.all, pass.ranks().rank(), pass.ranks().ranks());
    return out;
}

void for_each_batch(const Pass& pass, LastBatch last, const std::function<void(const Batch&, DeviceInput&)>& visit) {
    UnreadableImages* const unreadable = pass.data.unreadable.get();
    const std::vector<std::string> notes = agreed(pass.ranks(), [&] {
        run_batches(pass, last, visit);
        return pass.ranks().alone() ? "" : packed(unreadable);
    });
    for (const std::string& of_rank : notes)
        if (!of_rank.empty()) add_packed(*unreadable, of_rank);
}

Predictions no_predictions(const ImageData& data) {
    Predictions out;
    out.classes = data.set.classes;
    out.columns = data.set.columns;
    out.attributes.resize(out.columns.size());
    return out;
}

void add_prediction(Predictions& out, const ImageData& data, int64_t sample, const float* p) {
    const Sample& s = data.set.samples[sample];
    out.image.push_back(s.image);
    out.unit.push_back(s.unit);
    out.label.push_back(s.label);
    out.split.emplace_back(split_name(s));
    for (size_t c = 0; c < out.columns.size(); ++c) out.attributes[c].emplace_back(s.attributes[c]);
    const size_t row = out.prob.size();
    out.prob.insert(out.prob.end(), p, p + out.classes.size());
    out.pred.push_back(top_class(out.prob.data() + row, int(out.classes.size())));
}

Predictions predict(const Pass& pass) {
    const Network& net = pass.network();
    const ImageData& data = pass.data;
    const int classes = net.spec.classes;
    FP_REQUIRE(size_t(classes) == data.set.classes.size(), Exit::data, data.set.name, " has ", data.set.classes.size(),
               " classes, the model ", classes);
    FP_REQUIRE(!pass.samples.empty(), Exit::data, data.set.name, ": there are no samples to predict");
    refuse_repeats(pass.samples);

    // The batch of one input slot: the host collects its results while the device works on the other slot.
    struct Flight {
        explicit Flight(Session& session)
            : graph(session, StepGraph::Reads::derived), done(session.network().kernels().streams) {}
        StepGraph graph;
        Batch batch;
        RowResults rows;
        OwnedEvent done;
        bool under_way = false;
    } flights[DeviceInput::kSlots]{Flight(pass.session), Flight(pass.session)};
    Results results(classes);
    const auto collect = [&](Flight& f) {
        if (!std::exchange(f.under_way, false)) return;
        f.done.wait();
        for (int i = 0; i < f.batch.n; ++i) {
            if (f.batch.samples[i] < 0) continue;
            results.add({f.batch.samples[i], f.rows.loss(i, pass.kernels())},
                        f.rows.probabilities.as<float>() + int64_t(i) * classes);
        }
    };
    int before = 0;
    for_each_batch(pass, LastBatch::padded, [&](const Batch& batch, DeviceInput& input) {
        const int slot = input.upload(batch);
        Flight& f = flights[slot];
        f.batch = batch;
        const auto forward = [&] {
            Tape tape = pass.session.begin({.mode = Mode::infer});
            const Var images = input.images(tape, slot, batch.n);
            results_later(tape, net.forward(tape, images), input.labels(slot), f.rows);
        };
        f.graph.run({.n = batch.n, .at = input.addresses(slot)}, {{StepGraph::Part::device, forward}});
        input.release(slot);
        f.done.record({});
        f.under_way = true;
        if (slot != before) collect(flights[before]);
        input.wait_for_copy(slot);
        before = slot;
    });
    collect(flights[before]);
    return results.table(data, pass.ranks());
}

}  // namespace fp
