#include "tools/common.h"

#include "engine/data/sources/sources.h"

namespace fp {
void add_compute_options(Options& options, ComputeOptions& compute) {
    options.add("device NAME", compute.device,
                "auto, cpu, cuda, cuda:1, emulated, reference or cudnn; auto is CUDA where there is a GPU");
    options.choice<Precision>("precision TYPE", compute.precision,
                              {{"fp32", Precision::f32}, {"tf32", Precision::tf32}, {"bf16", Precision::bf16}},
                              "what the arithmetic is done in");
    options.add("threads N", compute.threads,
                "threads of the CPU; 0 is every core. Another number rounds sums otherwise: other bits",
                {.low = 0, .high = 4096});
    // The kernels' own name and identity_of_threads() are in a run's identity.
    options.keeps_bits("device");
    options.keeps_bits("threads");
}

void add_dataset_options(Options& options, DatasetOptions& dataset) {
    options.add("split-seed N", dataset.split_seed,
                "seed of the split into train, val and test where the data has none");
    options.add("exclude-unknown NAME", dataset.exclude_unknown,
                "leave out images whose value in this column is unknown, to be repeated");
    options.add("exclude-qc", dataset.exclude_qc, "Fitzpatrick17k: leave out images marked as wrongly labelled");
    options.add("allow-absolute", dataset.allow_absolute, "let image paths be absolute or hold ..");
    options.keeps_bits("allow-absolute");
}

void add_data_options(Options& options, DataOptions& data) {
    std::string sources;
    for (const Source* source : Source::all()) sources += (sources.empty() ? "" : ", ") + std::string(source->says);
    options.add("data SPEC", data.data, "what to open: " + sources);
    options.add("attribute NAME", data.attributes,
                "column with the groups, to be repeated; age:60 cuts a number, sex*age:60 crosses two");
    add_dataset_options(options, data.dataset);
    options.add("image-size N", data.image_size, "side of the square that a model sees, in pixels",
                {.low = 1, .high = 16384});
    options.add("batch-size N", data.batch_size, "images a step", {.low = 1, .high = 65536});
    options.keeps_bits("data");        // identity_of(Dataset) knows its content
    options.keeps_bits("image-size");  // the model's
}

}  // namespace fp
