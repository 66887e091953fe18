#include "engine/eval/predict.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/core/loss.h"
#include "engine/data/device_input.h"
#include "kernels/error.h"

namespace fp {

std::vector<int32_t> ImageData::labels() const {
    std::vector<int32_t> out;
    for (const Sample& s : set.samples) out.push_back(s.label);
    return out;
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
    out.split.emplace_back(name(s.split));
    for (size_t c = 0; c < out.columns.size(); ++c) out.attributes[c].push_back(s.attributes[c]);
    const size_t row = out.prob.size();
    out.prob.insert(out.prob.end(), p, p + out.classes.size());
    out.pred.push_back(top_class(out.prob.data() + row, int(out.classes.size())));
}

Predictions predict(Session& session,
                    const Preprocessing& preprocessing,
                    const ImageData& data,
                    const std::vector<int64_t>& samples,
                    const PredictOptions& options) {
    const Network& net = session.network();
    const int classes = net.spec.classes;
    FP_REQUIRE(size_t(classes) == data.set.classes.size(), Exit::data, data.set.name, " has ",
               data.set.classes.size(), " classes, the model ", classes);
    FP_REQUIRE(!samples.empty(), Exit::data, data.set.name, ": there are no samples to predict");
    Loader loader(
        data.source, data.labels(),
        {.batch_size = int(std::min<int64_t>(options.batch_size, int64_t(samples.size()))),
         .image_size = preprocessing.image_size,
         .workers = options.workers,
         .ready = data.ready,
         .skip_bad = options.skip_bad,
         .memory = &net.kernels().memory});
    loader.start(samples, 0);
    Feed feed(net.kernels(), preprocessing);

    Predictions out = no_predictions(data);
    auto collect = [&](const Batch& batch, const float* p) {
        for (int i = 0; i < batch.n; ++i) {
            if (batch.labels[i] >= 0)
                add_prediction(out, data, batch.samples[i], p + int64_t(i) * classes);
        }
        if (options.progress)
            options.progress(
                std::min<int64_t>((batch.number + 1) * batch.n, int64_t(samples.size())),
                int64_t(samples.size()));
    };

    // One batch is read while the device works on the next.
    struct Flight {
        explicit Flight(Session& s)
            : session(s), key(s.new_key()), there(s.network().kernels().order) {}
        ~Flight() { session.forget(key); }
        Session& session;
        uint64_t key;
        Batch batch;
        HostBuffer probabilities;
        Mark there;
        bool under_way = false;
    } flights[Feed::kPlaces]{Flight(session), Flight(session)};
    auto land = [&](Flight& f) {
        if (!std::exchange(f.under_way, false)) return;
        f.there.wait();
        collect(f.batch, f.probabilities.as<float>());
    };
    Batch batch;
    int before = 0;
    while (loader.next(batch)) {
        const int at = feed.upload(batch);
        Flight& f = flights[at];
        f.batch = batch;
        session.repeat(f.key, false,
                       {{Session::Part::device,
                         [&] {
                             Tape tape = session.begin({.mode = Mode::infer});
                             const Var x = feed.images(tape, at, batch.n);
                             softmax_later(tape, net.forward(tape, x), f.probabilities);
                         }}},
                       {.n = batch.n, .at = feed.addresses(at)});
        feed.free_place(at);
        f.there.record({});
        f.under_way = true;
        if (at != before) land(flights[before]);
        feed.arrived(at);
        before = at;
    }
    land(flights[before]);
    return out;
}

}  // namespace fp
