// Which images a model has learned from, so that no later tool judges it by them unawares.
//
// An image is known by a key: 48 bits of the hash of its file name without ending (with it where only the ending tells
// two images apart), behind as many of its folders as tell all files of the data set apart (none where their names
// differ); of specification and number where it is generated. An image is looked up with each number of folders, with
// and without its ending. So the same images are known again from another folder,
// from another table, among fewer or more images and at another size. Other images of the same names are taken for
// them.
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
    bool truncated = false;                      // there were more than are kept
    // It was trained before on images that are not known: pruned from a model that does not say what it has seen.
    bool earlier_unknown = false;
    // Its training started from weights (--weights) that do not say what they had seen; a note of the data set says so.
    bool first_weights_unknown = false;

    bool may_be_more() const { return truncated || earlier_unknown; }
    bool operator==(const SeenImages&) const = default;
};

// Of each image the key that a training on these data keeps.
std::vector<uint64_t> image_keys(const Dataset&);

// What a model has seen that is trained on `data`, and before on `before`. Of more than 2^20 images the smallest keys
// are kept.
SeenImages seen_images(const Dataset& data, const std::optional<SeenImages>& before);

// For each image whether the model has learned from it, else whether it was chosen by it. Where the keys are truncated,
// some are missed.
enum class Seen { no, chosen_by, learned_from };
std::vector<Seen> seen_before(const SeenImages&, const Dataset&);

// Looks for what would make a judgement too good:
//   - lesions or patients that are in train and in val, or in one of these and in a split for judging;
//   - images that Dataset::seen has learned from, and that are now in val or in a split for judging, or by which it was
//     chosen, and that are now in a split for judging.
// Either is Exit::data, or with `allow` a note of the data set.
void refuse_leaks(Dataset& data, bool allow);

}  // namespace fp
