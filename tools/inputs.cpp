#include "tools/inputs.h"

#include <iostream>

#include "engine/data/loader.h"
#include "engine/data/sources/sources.h"
#include "engine/io/files.h"
#include "engine/run/threads.h"
#include "models/models.h"

namespace fp {

void add_compute_options(Options& options, ComputeOptions& compute) {
    options.add("device NAME", compute.device,
                "auto, cpu, cuda, cuda:1, emulated, reference, cudnn or onednn; auto is CUDA where there is a GPU");
    options.offer("device", "auto, cpu, cuda, emulated, reference, cudnn, onednn");
    options.choice<Precision>("precision TYPE", compute.precision,
                              {{"fp32", Precision::f32}, {"tf32", Precision::tf32}, {"bf16", Precision::bf16}},
                              "precision of convolutions and linear layers");
    options.add("threads N", compute.threads,
                "CPU threads; 0: one per core. Sums are rounded differently with another number: other bits",
                {.low = 0, .high = 4096});
    // The kernels' own name and identity_of_threads() are in a run's identity.
    options.keeps_bits("device");
    options.keeps_bits("threads");
}

void add_dataset_options(Options& options, DatasetOptions& dataset) {
    options.add(
        "split-seed N", dataset.split_seed,
        "seed of the split into train, val and test where the data has none (default: as for the model, else 0)");
    options.add(
        "unknown WORD", dataset.unknown,
        "a value that stands for an unknown attribute, besides none, n/a, null, ? and their like; may be repeated");
    options.add("exclude-unknown NAME", dataset.exclude_unknown,
                "leave out images whose value in this column is unknown; may be repeated");
    options.add("exclude-qc", dataset.exclude_qc, "Fitzpatrick17k: leave out images marked as wrongly labelled");
    options.add("allow-absolute", dataset.allow_absolute, "accept image paths that are absolute or contain ..");
    for (const char* name : {"allow-absolute", "split-seed"}) options.keeps_bits(name);
}

void add_leak_option(Options& options, DatasetOptions& dataset) {
    options.add("allow-leak", dataset.allow_leak,
                "permit a lesion or patient on two sides of the split, and judging by images that the model has seen");
    options.keeps_bits("allow-leak");
}

void add_data_option(Options& options, std::string& spec) {
    std::string sources;
    for (const Source* source : Source::all()) sources += (sources.empty() ? "" : ", ") + std::string(source->says);
    options.add("data SPEC", spec, "data set: " + sources + "; --help data says more");
    options.topic("data", "Data sets", sources_text());
    options.keeps_bits("data");  // identity_of(Dataset) knows its content
}

void add_data_options(Options& options, DataOptions& data) {
    add_data_option(options, data.data);
    options.add("attribute NAME", data.attributes,
                "column with the groups; may be repeated; age:60 cuts a number, sex*age:60 crosses two");
    add_dataset_options(options, data.dataset);
    add_leak_option(options, data.dataset);
    options.add("image-size N", data.image_size, "side of the square that a model sees, in pixels",
                {.low = 1, .high = 16384});
    options.add("batch-size N", data.batch_size, "images per step", {.low = 1, .high = 65536});
    options.keeps_bits("image-size");  // the model's
}

const Kernels& use_device(const ComputeOptions& compute, const Options& options) {
    prepare_threads();
    return use_device(options.of_rank(compute), [&](const std::string& line) { options.say(line); });
}

void require_images(const ImageData& data, std::initializer_list<Split> splits) {
    if (data.set.synth || (data.ready && data.ready())) return;
    for (const Split split : splits)
        for (const int64_t i : members(data.set, split)) {
            const std::filesystem::path file = image_file(data.set, data.set.samples[size_t(i)]);
            FP_REQUIRE(std::filesystem::exists(file), Exit::data, shown(file), ": no such file",
                       data.set.name.starts_with("csv:")
                           ? "; behind the CSV, images=DIR names the folder and ext=.jpg adds an ending"
                           : "");
        }
}

void add_skip_bad(Options& o, bool& skip_bad) {
    o.add("skip-bad", skip_bad, "leave out images that cannot be read, instead of stopping");
    o.explain(kMaySkip, ": --skip-bad");
}

void say_skipped(const ImageData& data, const Options& options) {
    if (const std::string line = skipped_text(data); !line.empty()) std::cerr << options.tool() << ": " << line << "\n";
}

void say_notes(const Dataset& data, const Options& options) {
    for (const std::string& note : data.notes) options.say("data: " + printable(note, 500));
}

void check_attributes(const AttributeColumns& columns,
                      const std::vector<std::string>& attributes,
                      const Options& options) {
    for (const std::string& warning : group_warnings(columns, attributes))
        std::cerr << options.tool() << ": " << printable(warning, 500) << "\n";
}

LoadedModel load_model(const std::string& path, const Kernels& k) { return read_checkpoint(path, models::all(), k); }

ImageData open_images_of(const LoadedModel& model,
                         const std::string& path,
                         const DataOptions& options,
                         const std::string& cache,
                         const Steps& progress) {
    const int size = model.card.preprocessing.image_size;
    FP_REQUIRE(options.image_size.value_or(size) == size, Exit::model, path, ": was trained at ", size,
               " pixels, --image-size is ", *options.image_size);
    OpenOptions open{
        .image_size = size, .dataset = options.dataset, .cache = cache, .progress = progress, .ranks = &world()};
    open.dataset.classes = model.card.classes;
    open.dataset.seen = model.card.seen;
    return open_images(options.data, open);
}

}  // namespace fp
