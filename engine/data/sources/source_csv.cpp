// csv:FILE[,images=DIR][,image=COLUMN][,label=COLUMN][,split=COLUMN][,ext=.jpg]
//
// Columns image and label; optional split, lesion_id and patient_id; all others are attributes. split=COLUMN names
// another column of train, val, test and names of splits to judge alone (rows without one are left out), split=none
// ignores the file's; ext= is appended to every image name.
#include <algorithm>
#include <filesystem>

#include "engine/data/sources/sources.h"
#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "kernels/error.h"

namespace fp {

namespace {

// A column that looks like a split by its name, or by its words alone: train, val, test.
bool looks_like_split(const Table& table, size_t column) {
    if (plain(table.header[column]).find("fold") != std::string::npos) return true;
    const auto word = [&](const Cells& row) { return trimmed(row[column]); };
    return std::ranges::all_of(table.rows, [&](const Cells& r) { return word(r).empty() || parse_split(word(r)); }) &&
           std::ranges::any_of(table.rows, [&](const Cells& r) { return !word(r).empty(); });
}

// A note of each such column where the table's split is drawn.
std::vector<std::string> other_splits(const Listing& listing) {
    std::vector<std::string> out;
    const Table& table = listing.table;
    for (size_t c = 0; c < table.header.size(); ++c)
        if (c != listing.image && c != listing.label && looks_like_split(table, c))
            out.push_back(text("the column ", printable(table.header[c]), " is not used as the split; split=",
                               printable(table.header[c]), " behind the table names it"));
    return out;
}

}  // namespace

Listing list_csv(const DataSpec& spec, const DatasetOptions&) {
    const std::string folder = std::filesystem::path(spec.head).parent_path().string();
    Listing listing{.table = read_csv(spec.head),
                    .root = spec.value("images", folder.empty() ? "." : folder),
                    .extension = spec.value("ext", "")};
    listing.image = need_column(listing.table, spec.value("image", "image"), "image");
    listing.label = need_column(listing.table, spec.value("label", "label"), "label");
    const std::string split = spec.value("split", "");
    if (split != "none" && (!split.empty() || find_column(listing.table.header, "split") >= 0))
        listing.split = need_column(listing.table, split.empty() ? "split" : split, "split");
    if (split.empty() && !listing.split)
        for (std::string& note : other_splits(listing)) listing.notes.push_back(std::move(note));
    return listing;
}

namespace sources {
extern const Source csv{.name = "csv",
                        .says = "csv:FILE,images=DIR",
                        .opens = "A table: image, label; split, lesion_id, patient_id, attributes if there.",
                        .keys = {{"images", "folder of the images (default: the table's)"},
                                 {"image", "column of the image's path (image, image_id, path, ...)"},
                                 {"label", "column of the class (label, dx, diagnosis, ...)"},
                                 {"split", "column of train, val, test; none: draw them"},
                                 {"ext", "what the images' names lack: .jpg"}},
                        .example = "HAM10000: csv:HAM10000_metadata.csv,images=DIR,ext=.jpg",
                        .list = list_csv};
}

}  // namespace fp
