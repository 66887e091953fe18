// csv:FILE[,images=DIR][,image=COLUMN][,label=COLUMN][,split=COLUMN][,ext=.jpg]
//
// Columns image and label; optional split, lesion_id and patient_id; all others are attributes. split=COLUMN names
// another column of train, val, test and names of splits to judge alone (rows without one are left out), split=none
// ignores the file's; ext= is appended to every image name.
#include <filesystem>

#include "engine/data/sources/sources.h"
#include "engine/io/columns.h"

namespace fp {

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
