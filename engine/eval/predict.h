// A data set with its images, and the run of a network over its samples, batch by batch.
#pragma once

#include <filesystem>
#include <functional>

#include "engine/core/session.h"
#include "engine/data/dataset.h"
#include "engine/data/device_input.h"
#include "engine/data/images.h"
#include "engine/data/loader.h"
#include "engine/data/preprocessing.h"
#include "engine/fairness/predictions.h"
#include "engine/io/fields.h"
#include "engine/io/steps.h"
#include "engine/parallel/comm.h"

namespace fp {

// A data set and the source of its images.
struct ImageData {
    Dataset set;
    ImageSource source;
    std::function<bool()> ready = {};                   // LoaderOptions::ready
    std::shared_ptr<UnreadableImages> unreadable = {};  // filled by `source`; may be null
    std::vector<int32_t> labels() const;
};

struct OpenOptions {
    int image_size = 128;
    DatasetOptions dataset = {};       // `classes`: of a checkpoint, whose order is kept
    std::filesystem::path cache = {};  // folder of a file of decoded images; empty: memory only
    Steps progress = {};               // while the cache is written
    const Comm* ranks = nullptr;       // that open the same data set together (ImageOptions::ranks)
};

// The images of a data set, which are decoded once and kept.
ImageData images_of(Dataset, const ImageOptions&);

// `spec` as open_dataset takes it. Exit::usage for an empty specification.
ImageData open_images(const std::string& spec, const OpenOptions&);

// Images that could not be read and were left out (PredictOptions::skip_bad); nothing where all were read.
struct Skipped {
    int64_t images = 0;
    std::string first = {};  // what is wrong with the first
};
std::optional<Skipped> skipped_of(const ImageData&);
void fields(maybe_const<Skipped> auto& s, auto& member) {
    member("images", s.images);
    member("first", s.first);
}

// "3 images were skipped as unreadable, the first: a.jpg: ..."; empty where all were read.
std::string skipped_text(const ImageData&);

// bad_images.csv: image,reason. Nothing is written where all images were read.
void write_bad_images(const std::filesystem::path& file, const ImageData&);
// For a run that goes on: what such a file of it names counts as skipped too. Nothing where there is none.
void recall_bad_images(const std::filesystem::path& file, const ImageData&);

struct PredictOptions {
    int batch_size = 128;
    int workers = 0;
    bool skip_bad = false;
    Steps progress = {};
    // Of a run: each computes a part of the batches, and all have the same results, with the bits that one rank has.
    // Null: this process computes all.
    const Comm* ranks = nullptr;

    const Comm& comm() const {
        static const Comm alone;
        return ranks ? *ranks : alone;
    }
};

// A network, and the samples that it is run on. References are to outlive the pass.
struct Pass {
    Session& session;
    const Preprocessing& preprocessing;
    const ImageData& data;
    const std::vector<int64_t>& samples;
    PredictOptions options = {};

    const Network& network() const { return session.network(); }
    const Kernels& kernels() const { return network().kernels(); }
    const Comm& ranks() const { return options.comm(); }
};

// What becomes of samples that do not fill the last batch. Padded, a batch has no more rows than there are samples.
enum class LastBatch { padded, dropped };

// The whole batches of a pass, of which each rank computes a range of neighbours: rank 0 the first ones.
struct Batches {
    int64_t all = 0;  // of all ranks
    int size = 0;     // rows of each
    Share own = {};   // the numbers of this rank's; may be empty
};
Batches batches_of(const Pass&, LastBatch);

// Calls `visit` for each batch of this rank, in the order of the samples. Rows of padding and of skipped images have the
// label -1; padding stands at the end of the last batch. Every rank calls this; `visit` may not call Comm. What one rank
// throws, all throw, and all then know each other's unreadable images. Progress is of this rank's part, scaled to the
// whole.
void for_each_batch(const Pass&, LastBatch, const std::function<void(const Batch&, DeviceInput&)>& visit);

// A table without rows for this data set, and a row for one of its samples.
Predictions no_predictions(const ImageData&);
void add_prediction(Predictions&, const ImageData&, int64_t sample, const float* probabilities);

// Probabilities and losses in the order of the samples, without the unreadable images that PredictOptions allows to
// skip; the same on every rank. No sample may occur twice. A batch is computed by one rank, whole, since its size and its
// rows' places may decide bits on some backend. A rank sends 16 + 4 classes bytes of each of its samples to each
// other one.
Predictions predict(const Pass&);

}  // namespace fp
