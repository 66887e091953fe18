// csv:FILE[,images=DIR][,image=COLUMN][,label=COLUMN][,split=COLUMN][,ext=.jpg]
//
// Columns image and label; optional split, lesion_id and patient_id; all others are attributes. split=COLUMN names
// another column of train, val, test (rows without one are left out), split=none ignores the file's; ext= is appended
// to every image name.
#include <array>
#include <filesystem>

#include "engine/data/sources/sources.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

std::string value_or(const DataSpec& spec, const std::string& key, const std::string& otherwise) {
    const auto found = spec.values.find(key);
    return found == spec.values.end() ? otherwise : found->second;
}

}  // namespace

int need_column(const Table& table, const std::string& wanted) {
    const int found = find_column(table.header, wanted);
    FP_REQUIRE(found >= 0, Exit::data, table.name, ": no column '", wanted, "', only ", list(table.header));
    return found;
}

Listing list_csv(const DataSpec& spec) {
    Listing listing;
    listing.table = read_csv(spec.head);
    const std::string folder = std::filesystem::path(spec.head).parent_path().string();
    listing.root = value_or(spec, "images", folder.empty() ? "." : folder);
    listing.extension = value_or(spec, "ext", "");
    listing.image = need_column(listing.table, value_or(spec, "image", "image"));
    listing.label = need_column(listing.table, value_or(spec, "label", "label"));
    const std::string split = value_or(spec, "split", "");
    if (split.empty())
        listing.split = find_column(listing.table.header, "split");
    else if (split != "none")
        listing.split = need_column(listing.table, split);
    return listing;
}

namespace {
constexpr std::array<std::string_view, 5> kKeys{"images", "image", "label", "split", "ext"};
}
namespace sources {
extern const Source csv{.name = "csv",
                        .says = "csv:FILE,images=DIR",
                        .keys = kKeys,
                        .open = [](const DataSpec& spec, const DatasetOptions& options) {
                            return dataset_of(list_csv(spec), spec, options);
                        }};
}

}  // namespace fp
