// Which images a model has learned from, so that no later tool judges it by them unawares.
//
// An image is known by a key: 48 bits of the hash of its file name without folder and ending; of the whole path where
// two files of a data set share that name; of specification and number where it is generated. So the same images
// are known again from another folder, from another table and at another size. Other images of the same names are
// taken for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fp {

struct Dataset;

struct SeenImages {
    std::string data = {};                       // Dataset::name
    std::string split_hash = {};                 // split_hash()
    std::optional<uint64_t> split_seed = {};     // Dataset::split_seed
    std::vector<uint64_t> train = {}, val = {};  // keys, sorted: it has learned from these, and was chosen by those

    bool operator==(const SeenImages&) const = default;
};

std::vector<uint64_t> image_keys(const Dataset&);

// What a model has seen that is trained on `data`, and before on `before`. Of more than 2^20 images the smallest keys
// stand for the others.
SeenImages seen_images(const Dataset& data, const std::optional<SeenImages>& before);

// How many of these images, given by their keys, the model has learned from or was chosen by.
int64_t count_seen(const SeenImages&, const std::vector<uint64_t>& keys);

// Looks for what would make a judgement too good:
//   - lesions or patients that are in train and in val, or in one of these and in a split for judging;
//   - images that Dataset::seen has learned from, and that are now in val or in a split for judging, or by which it was
//     chosen, and that are now in a split for judging.
// Either is Exit::data, or with `allow` a note of the data set.
void refuse_leaks(Dataset& data, bool allow);

// The first of them, with sets of equal files that are in two splits. Exit::data unless `allow`.
void refuse_parted(const std::string& data, const std::vector<std::string>& units, size_t files, bool allow);

}  // namespace fp
