#include "engine/data/seen.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <string_view>
#include <unordered_map>

#include "engine/data/dataset.h"
#include "engine/data/split.h"
#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr size_t kMostKeys = size_t(1) << 20;
constexpr uint64_t kKeyBits = (uint64_t(1) << 48) - 1;

uint64_t key_of_name(std::string_view name) { return xxh3_64(as_bytes(name), 0) & kKeyBits; }

// The whole path of each image.
std::vector<std::filesystem::path> whole_paths(const Dataset& data) {
    const std::filesystem::path root = std::filesystem::current_path() / data.root;
    std::vector<std::filesystem::path> out;
    for (const Sample& sample : data.samples) out.push_back((root / sample.image).lexically_normal());
    return out;
}

std::string without_ending(std::filesystem::path path) { return path.replace_extension().generic_string(); }

// Of each image its whole path without ending; with it where another image of the data set, a.png beside a.jpg, has the
// same.
std::vector<std::string> whole_names(const Dataset& data) {
    const std::vector<std::filesystem::path> paths = whole_paths(data);
    std::unordered_map<std::string, const std::filesystem::path*> first;  // null: there are several
    for (const std::filesystem::path& path : paths)
        if (const auto [at, is_new] = first.emplace(without_ending(path), &path);
            !is_new && at->second && *at->second != path)
            at->second = nullptr;
    std::vector<std::string> out;
    for (const std::filesystem::path& path : paths) {
        std::string name = without_ending(path);
        out.push_back(first.at(name) ? std::move(name) : path.generic_string());
    }
    return out;
}

// The name behind `folders` folders, or all that there are: tail("/a/b/c", 1) is "b/c".
std::string_view tail(std::string_view whole, int folders) {
    size_t start = whole.size();
    for (int i = 0; i <= folders; ++i) {
        start = start == 0 ? whole.npos : whole.rfind('/', start - 1);
        if (start == whole.npos) return whole;
    }
    return whole.substr(start + 1);
}

// The least number of folders with which no two different images have the same name.
int folders_needed(const std::vector<std::string>& whole) {
    for (int folders = 0;; ++folders) {
        std::unordered_map<std::string_view, std::string_view> whole_of;
        const auto is_told_apart = [&](const std::string& w) {
            return whole_of.emplace(tail(w, folders), w).first->second == w;
        };
        if (std::ranges::all_of(whole, is_told_apart)) return folders;
    }
}

std::vector<uint64_t> synthetic_keys(const Dataset& data) {
    SynthSpec spec = *data.synth;
    spec.n = 1;  // image i does not depend on it
    const std::string of = to_string(spec);
    std::vector<uint64_t> keys;
    for (const Sample& sample : data.samples) keys.push_back(key_of_name(of + sample.image));
    return keys;
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
    const std::vector<Seen> before = seen_before(seen, data);
    std::vector<bool> leaks(before.size());
    for (size_t i = 0; i < before.size(); ++i) {
        const Split split = data.samples[i].split;
        leaks[i] = split != Split::train &&
                   (before[i] == Seen::learned_from || (split != Split::val && before[i] == Seen::chosen_by));
    }
    const std::string counts = counts_by_split(data, leaks);
    if (counts.empty()) return "";
    return text("the model has seen images that are now to judge it: ", seen.may_be_more() ? "at least " : "", counts,
                "; its split of ", printable(seen.data), " was ", described(seen.split_seed, seen.split_hash),
                ", here it is ", described(data.split_seed, split_hash(data)),
                seen.split_seed
                    ? text("; --split-seed ", *seen.split_seed, " or the split.csv of its run gives that split")
                    : std::string("; give the table a column with that split (split=COLUMN names it), or judge all "
                                  "of it all the same by fp_eval --split all --allow-leak"));
}

}  // namespace

std::vector<uint64_t> image_keys(const Dataset& data) {
    if (data.synth) return synthetic_keys(data);
    const std::vector<std::string> whole = whole_names(data);
    const int folders = folders_needed(whole);
    std::vector<uint64_t> keys;
    for (const std::string& w : whole) keys.push_back(key_of_name(tail(w, folders)));
    return keys;
}

SeenImages seen_images(const Dataset& data, const std::optional<SeenImages>& before) {
    SeenImages out{.data = data.name, .split_hash = split_hash(data), .split_seed = data.split_seed};
    if (before) {
        out.train = before->train;
        out.val = before->val;
        out.truncated = before->truncated;
        out.earlier_unknown = before->earlier_unknown;
        out.first_weights_unknown = before->first_weights_unknown;
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
        out.truncated = true;
        std::vector<uint64_t> all;
        std::ranges::merge(out.train, out.val, std::back_inserter(all));
        const auto beyond = [&](uint64_t key) { return key >= all[kMostKeys]; };
        std::erase_if(out.train, beyond);
        std::erase_if(out.val, beyond);
    }
    return out;
}

std::vector<Seen> seen_before(const SeenImages& seen, const Dataset& data) {
    const auto of_key = [&](uint64_t key) {
        return holds(seen.train, key) ? Seen::learned_from : holds(seen.val, key) ? Seen::chosen_by : Seen::no;
    };
    std::vector<Seen> out;
    if (data.synth) {
        std::ranges::transform(synthetic_keys(data), std::back_inserter(out), of_key);
        return out;
    }
    for (const std::filesystem::path& path : whole_paths(data)) {
        Seen& found = out.emplace_back(Seen::no);
        for (const std::string& whole : {without_ending(path), path.generic_string()}) {
            std::string_view name;
            for (int folders = 0; name.size() < whole.size(); ++folders) {
                name = tail(whole, folders);
                found = std::max(found, of_key(key_of_name(name)));
            }
        }
    }
    return out;
}

void refuse_leaks(Dataset& data, bool allow) {
    const std::vector<std::string> units = parted_units(data);
    refuse_parted(data.name, units, 0, allow);
    if (!units.empty())
        data.notes.push_back(
            text(units.size(), " lesions or patients are on two sides of the split, the first: ", printable(units[0])));
    const std::string leak = data.seen ? seen_leak(data) : "";
    FP_REQUIRE(leak.empty() || allow, Exit::data, data.name, ": ", leak, kLeakIsPermitted);
    if (!leak.empty()) data.notes.push_back(leak);
}

}  // namespace fp
