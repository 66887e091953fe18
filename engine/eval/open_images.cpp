#include "engine/eval/open_images.h"

#include "engine/data/images.h"
#include "engine/io/csv.h"
#include "engine/io/files.h"

namespace fp {

ImageData open_images(const std::string& spec, const OpenOptions& options) {
    FP_REQUIRE(!spec.empty(), Exit::usage, "--data is missing");
    // The source outlives this function, and with it the data set that it reads from.
    const auto set = std::make_shared<const Dataset>(open_dataset(spec, options.dataset));
    const auto images =
        std::make_shared<DatasetImages>(*set, ImageOptions{.image_size = options.image_size, .cache = options.cache});
    const auto unreadable = std::make_shared<UnreadableImages>();
    const auto read = [set, images, unreadable](int64_t sample, const View& view, int side, uint8_t* rgb) {
        try {
            images->read(sample, view, side, rgb);
        } catch (const Error& error) {
            if (error.exit == Exit::data) unreadable->add(sample, error.what());
            throw;
        }
    };
    return {
        .set = *set, .source = read, .ready = [set, images] { return images->all_cached(); }, .unreadable = unreadable};
}

std::string skipped_text(const ImageData& data) {
    if (!data.unreadable) return "";
    const auto reasons = data.unreadable->reasons();
    if (reasons.empty()) return "";
    return text(reasons.size(), reasons.size() == 1 ? " image was" : " images were",
                " skipped as unreadable, the first: ", reasons.begin()->second);
}

void write_bad_images(const std::filesystem::path& file, const ImageData& data) {
    if (!data.unreadable) return;
    Table table{.header = {"image", "reason"}};
    for (const auto& [sample, reason] : data.unreadable->reasons())
        table.rows.push_back({data.set.samples[size_t(sample)].image, reason});
    if (!table.rows.empty()) write_csv(file, table);
}

}  // namespace fp
