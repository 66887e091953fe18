#include "engine/data/seen.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>

#include "engine/data/dataset.h"
#include "engine/data/split.h"
#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr size_t kMostKeys = size_t(1) << 20;
constexpr uint64_t kKeyBits = (uint64_t(1) << 48) - 1;

uint64_t key_of_name(const std::string& name) { return xxh3_64(as_bytes(name), 0) & kKeyBits; }

std::string without_ending(const std::filesystem::path& path) {
    return (path.parent_path() / path.stem()).lexically_normal().string();
}

bool holds(const std::vector<uint64_t>& sorted, uint64_t key) { return std::ranges::binary_search(sorted, key); }

void sort_distinct(std::vector<uint64_t>& keys) {
    std::ranges::sort(keys);
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
}

std::string described(const std::optional<uint64_t>& seed, const std::string& hash) {
    return (seed ? text("drawn with seed ", *seed) : "given by the data") + ", hash " + hash.substr(0, 8);
}

// "val 98 of 154, test 102 of 154": images of each split that count.
std::string counts_by_split(const Dataset& data, const std::vector<bool>& counts) {
    std::map<std::string_view, std::pair<int64_t, int64_t>> by_split;
    for (size_t i = 0; i < data.samples.size(); ++i) {
        auto& [some, all] = by_split[split_name(data.samples[i])];
        some += counts[i];
        ++all;
    }
    std::string out;
    for (const auto& [split, count] : by_split)
        if (count.first > 0)
            out += text(out.empty() ? "" : ", ", printable(split), " ", count.first, " of ", count.second);
    return out;
}

// The sentence about images that the model has seen on an earlier side; empty where there are none.
std::string seen_leak(const Dataset& data) {
    const SeenImages& seen = *data.seen;
    const std::vector<uint64_t> keys = image_keys(data);
    std::vector<bool> leaks(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
        const Split split = data.samples[i].split;
        leaks[i] =
            split != Split::train && (holds(seen.train, keys[i]) || (split != Split::val && holds(seen.val, keys[i])));
    }
    const std::string counts = counts_by_split(data, leaks);
    if (counts.empty()) return "";
    return text("the model has seen images that are now to judge it: ", counts, "; its split of ", printable(seen.data),
                " was ", described(seen.split_seed, seen.split_hash), ", here it is ",
                described(data.split_seed, split_hash(data)),
                seen.split_seed
                    ? text("; --split-seed ", *seen.split_seed, " or the split.csv of its run gives that split")
                    : std::string("; give the table a column with that split (split=COLUMN names it), or judge all "
                                  "of it all the same by fp_eval --split all --allow-leak"));
}

constexpr const char* kPermits = " (--allow-leak permits that)";

}  // namespace

std::vector<uint64_t> image_keys(const Dataset& data) {
    std::vector<uint64_t> keys;
    if (data.synth) {
        SynthSpec spec = *data.synth;
        spec.n = 1;  // image i does not depend on it
        const std::string of = to_string(spec);
        for (const Sample& sample : data.samples) keys.push_back(key_of_name(of + sample.image));
        return keys;
    }
    std::map<std::string, std::string_view> path_of;
    for (const Sample& sample : data.samples) {
        const std::string name = std::filesystem::path(sample.image).stem().string();
        if (path_of.emplace(name, sample.image).first->second != sample.image) break;
        keys.push_back(key_of_name(name));
    }
    if (keys.size() == data.samples.size()) return keys;
    keys.clear();
    for (const Sample& sample : data.samples) keys.push_back(key_of_name(without_ending(sample.image)));
    return keys;
}

SeenImages seen_images(const Dataset& data, const std::optional<SeenImages>& before) {
    SeenImages out{.data = data.name, .split_hash = split_hash(data), .split_seed = data.split_seed};
    if (before) {
        out.train = before->train;
        out.val = before->val;
    }
    const std::vector<uint64_t> keys = image_keys(data);
    for (size_t i = 0; i < keys.size(); ++i) {
        if (data.samples[i].split == Split::train) out.train.push_back(keys[i]);
        if (data.samples[i].split == Split::val) out.val.push_back(keys[i]);
    }
    sort_distinct(out.train);
    sort_distinct(out.val);
    std::erase_if(out.val, [&](uint64_t key) { return holds(out.train, key); });
    if (out.train.size() + out.val.size() > kMostKeys) {
        std::vector<uint64_t> all;
        std::ranges::merge(out.train, out.val, std::back_inserter(all));
        const auto beyond = [&](uint64_t key) { return key >= all[kMostKeys]; };
        std::erase_if(out.train, beyond);
        std::erase_if(out.val, beyond);
    }
    return out;
}

int64_t count_seen(const SeenImages& seen, const std::vector<uint64_t>& keys) {
    return std::ranges::count_if(keys, [&](uint64_t key) { return holds(seen.train, key) || holds(seen.val, key); });
}

void refuse_leaks(Dataset& data, bool allow) {
    const std::vector<std::string> units = parted_units(data);
    refuse_parted(data.name, units, 0, allow);
    if (!units.empty())
        data.notes.push_back(
            text(units.size(), " lesions or patients are on two sides of the split, the first: ", printable(units[0])));
    const std::string leak = data.seen ? seen_leak(data) : "";
    FP_REQUIRE(leak.empty() || allow, Exit::data, data.name, ": ", leak, kPermits);
    if (!leak.empty()) data.notes.push_back(leak);
}

void refuse_parted(const std::string& data, const std::vector<std::string>& units, size_t files, bool allow) {
    if (allow || (units.empty() && files == 0)) return;
    const std::string first = units.empty() ? "" : text(", the first: ", printable(units[0]));
    fail_with(Exit::data, data, ": ", units.size(), " lesions or patients and ", files,
              " sets of equal files are on two sides of the split", first, kPermits);
}

}  // namespace fp
