#include "engine/eval/predict.h"

#include <utility>

#include "engine/core/loss.h"
#include "engine/core/step_graph.h"
#include "kernels/error.h"

namespace fp {

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

Predictions predict(const Pass& pass) {
    const Network& net = pass.network();
    const ImageData& data = pass.data;
    const int classes = net.spec.classes;
    FP_REQUIRE(size_t(classes) == data.set.classes.size(), Exit::data, data.set.name, " has ", data.set.classes.size(),
               " classes, the model ", classes);
    FP_REQUIRE(!pass.samples.empty(), Exit::data, data.set.name, ": there are no samples to predict");

    // A slot's batch on its way through the device: the host collects one while the device works on the other.
    struct Flight {
        explicit Flight(Session& session)
            : graph(session, StepGraph::Reads::derived), done(session.network().kernels().streams) {}
        StepGraph graph;
        Batch batch;
        HostBuffer probabilities;
        OwnedEvent done;
        bool under_way = false;
    } flights[DeviceInput::kSlots]{Flight(pass.session), Flight(pass.session)};
    Predictions out = no_predictions(data);
    const auto collect = [&](Flight& f) {
        if (!std::exchange(f.under_way, false)) return;
        f.done.wait();
        for (int i = 0; i < f.batch.n; ++i)
            if (f.batch.labels[i] >= 0)
                add_prediction(out, data, f.batch.samples[i], f.probabilities.as<float>() + int64_t(i) * classes);
    };
    int before = 0;
    for_each_batch(pass, LastBatch::padded, [&](const Batch& batch, DeviceInput& input) {
        const int slot = input.upload(batch);
        Flight& f = flights[slot];
        f.batch = batch;
        const auto forward = [&] {
            Tape tape = pass.session.begin({.mode = Mode::infer});
            const Var images = input.images(tape, slot, batch.n);
            softmax_later(tape, net.forward(tape, images), f.probabilities);
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
    return out;
}

}  // namespace fp
