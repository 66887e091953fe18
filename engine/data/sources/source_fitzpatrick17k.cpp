// fitzpatrick17k:FILE[,images=DIR][,label=COLUMN][,split=COLUMN]
//
// fitzpatrick17k.csv as published: md5hash, fitzpatrick_scale (1 .. 6, -1 = none), fitzpatrick_centaur, label
// (114 of them), nine_partition_label, three_partition_label, qc, url, url_alphanum. Images: MD5HASH.jpg.
#include "engine/data/sources/sources.h"
#include "kernels/error.h"

namespace fp {
namespace {

Listing list_fitzpatrick17k(const DataSpec& spec, const DatasetOptions& options) {
    DataSpec csv = spec;
    csv.values["image"] = "md5hash";
    csv.values["ext"] = ".jpg";
    Listing listing = list_csv(csv, options);
    if (!options.exclude_qc) return listing;
    Table& table = listing.table;
    const size_t qc = need_column(table, "qc"), all = table.rows.size();
    for (size_t i = all; i-- > 0;)
        if (table.rows[i][qc].starts_with("3 ")) {  // "3 Wrongly labelled"
            table.rows.erase(table.rows.begin() + int64_t(i));
            table.lines.erase(table.lines.begin() + int64_t(i));
        }
    listing.notes.push_back(
        text("left out ", all - table.rows.size(), " of ", all, " images that qc calls wrongly labelled"));
    return listing;
}

}  // namespace

namespace sources {
extern const Source fitzpatrick17k{
    .name = "fitzpatrick17k",
    .says = "fitzpatrick17k:CSV,images=DIR",
    .opens = "fitzpatrick17k.csv as published; images are MD5HASH.jpg.",
    .keys = {{"images", "folder of the images (default: the table's)"},
             {"label", "column of the class (default: label, of 114 classes)"},
             {"split", "column of train, val, test; none: draw them"}},
    .example = "fitzpatrick17k:fitzpatrick17k.csv,images=DIR,label=three_partition_label",
    .list = list_fitzpatrick17k};
}

}  // namespace fp
