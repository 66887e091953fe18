// fairprune._core.Model: a checkpoint on a device.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <mutex>

#include "engine/eval/image_array.h"
#include "engine/eval/predict.h"
#include "engine/measure/layer_costs.h"
#include "engine/run/checkpoint_json.h"
#include "engine/run/device.h"
#include "engine/run/torch_module.h"
#include "models/models.h"
#include "python/module.h"

namespace nb = nanobind;

namespace fp::python {
namespace {

using Bytes4 = nb::ndarray<const uint8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<nb::numpy, float>;

// Python's threads may share a model: one at a time uses it.
class Model {
public:
    Model(const std::string& path, const ComputeOptions& compute)
        : compute_(compute),
          loaded_(read_checkpoint(path, models::all(), use_device(compute))),
          session_(*loaded_.network) {}

    std::string card() const { return card_text(network().spec, loaded_.card); }
    std::string device() const { return std::string(network().kernels().name); }
    Totals cost() const { return totals(layer_costs(network(), size())); }
    int64_t parameters() const { return network().params.parameters(); }
    std::string torch_module() const { return fp::torch_module(network(), loaded_.card); }
    TensorFile tensors() const { return to_file(network(), loaded_.card); }
    int size() const { return loaded_.card.preprocessing.image_size; }
    size_t classes() const { return size_t(network().spec.classes); }

    std::vector<float> run_arrays(const ImageArray& images, Output output, int batch_size) {
        const std::lock_guard lock(mutex_);
        use_device(compute_);  // threads and GPU are those of the calling thread
        return run({.session = session_,
                    .preprocessing = loaded_.card.preprocessing,
                    .images = images,
                    .output = output,
                    .batch_size = batch_size,
                    .progress = answer_signals_after});
    }

    // (files, classes); a row of NaN for a file that cannot be read, with `skip_bad`.
    std::vector<float> run_files(const std::vector<std::string>& files, int batch_size, bool skip_bad) {
        const std::lock_guard lock(mutex_);
        use_device(compute_);
        Dataset set{.name = "files", .classes = loaded_.card.classes};
        std::vector<int64_t> samples;
        for (const std::string& file : files) {
            samples.push_back(int64_t(set.samples.size()));
            set.samples.push_back({.image = file, .unit = file});
        }
        const ImageData data = images_of(std::move(set), {.image_size = size()});
        const Predictions made =
            predict({session_,
                     loaded_.card.preprocessing,
                     data,
                     samples,
                     {.batch_size = batch_size, .skip_bad = skip_bad, .progress = answer_signals_after}});
        const auto bad = data.unreadable->reasons();
        const size_t width = classes();
        std::vector<float> out(files.size() * width, std::numeric_limits<float>::quiet_NaN());
        int64_t row = 0;
        for (size_t i = 0; i < files.size(); ++i)
            if (!bad.contains(int64_t(i))) std::copy_n(made.row(row++), width, out.begin() + int64_t(i * width));
        return out;
    }

private:
    const Network& network() const { return *loaded_.network; }

    ComputeOptions compute_;
    LoadedModel loaded_;
    Session session_;
    std::mutex mutex_;
};

Floats run_arrays(Model& model, ImageArray images, bool logits, int batch_size) {
    std::vector<float> out;
    {
        const nb::gil_scoped_release free;
        out = model.run_arrays(images, logits ? Output::logits : Output::probabilities, batch_size);
    }
    return array_of(std::move(out), {size_t(images.n), model.classes()});
}

Floats run_files(Model& model, const std::vector<std::string>& files, int batch_size, bool skip_bad) {
    std::vector<float> out;
    {
        const nb::gil_scoped_release free;
        out = model.run_files(files, batch_size, skip_bad);
    }
    return array_of(std::move(out), {files.size(), model.classes()});
}

nb::dict state_dict(const Model& model) {
    nb::dict out;
    for (const TensorEntry& t : model.tensors().tensors) {
        const std::vector<size_t> shape(t.shape.begin(), t.shape.end());
        if (t.dtype == Dtype::i64) out[t.name.c_str()] = array_of(values_of<int64_t>(t), shape);
        if (t.dtype == Dtype::f32) out[t.name.c_str()] = array_of(values_of<float>(t), shape);
    }
    return out;
}

}  // namespace

void add_model(nb::module_& m) {
    nb::class_<Model>(m, "Model")
        .def("__init__",
             [](Model* self, const std::string& path, const std::string& device, int threads) {
                 const nb::gil_scoped_release free;
                 new (self) Model(path, {.device = device, .threads = threads});
             })
        .def_prop_ro("card", &Model::card)
        .def_prop_ro("device", &Model::device)
        .def_prop_ro("parameters", &Model::parameters)
        .def_prop_ro("macs", [](const Model& model) { return int64_t(model.cost().macs); })
        .def_prop_ro("torch_module", &Model::torch_module)
        .def("state_dict", state_dict)
        .def("run_bytes",
             [](Model& model, const Bytes4& x, bool logits, int batch_size) {
                 return run_arrays(model, {.n = int64_t(x.shape(0)), .rgb = x.data()}, logits, batch_size);
             })
        .def("run_floats",
             [](Model& model, const Floats4& x, bool logits, int batch_size) {
                 return run_arrays(model, {.n = int64_t(x.shape(0)), .planes = x.data()}, logits, batch_size);
             })
        .def("run_files", run_files);
}

}  // namespace fp::python
