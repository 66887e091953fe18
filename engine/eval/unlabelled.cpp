#include "engine/eval/unlabelled.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "engine/data/decode/decode.h"
#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "kernels/error.h"

namespace fp {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kListBytes = uint64_t(1) << 30;
constexpr size_t kLongestPath = 4096;
constexpr size_t kMostImages = 20'000'000;
constexpr uint64_t kHeadBytes = 512;  // that tell text from an image

std::string head_of(const fs::path& path) {
    const InputFile file(path);
    std::string head(std::min(file.bytes(), kHeadBytes), '\0');
    file.read(0, std::as_writable_bytes(std::span(head)));
    return head;
}

// No image that can be read is text: each begins with control characters.
bool is_text(std::string_view head) {
    return !head.empty() &&
           std::ranges::all_of(head, [](unsigned char c) { return c >= 0x20 || c == '\n' || c == '\r' || c == '\t'; });
}

// False at the end. Exit::data for a line that is longer than any path, or holds a NUL.
bool next_line(std::istream& in, std::string& line, const std::string& name, int64_t number) {
    line.clear();
    for (int c; (c = in.get()) != std::istream::traits_type::eof() && c != '\n';) {
        FP_REQUIRE(c != 0 && line.size() < kLongestPath, Exit::data, name, ":", number, ": ",
                   c == 0 ? "has a NUL byte" : "is longer than any path");
        line += char(c);
    }
    if (number == 1 && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);  // a byte order mark
    return bool(in) || !line.empty();
}

class Collector {
public:
    Collector(Dataset& data, bool missing_allowed) : data_(data), missing_allowed_(missing_allowed) {}

    void add_word(const std::string& word) {
        const fs::path path = word;
        std::error_code ignored;
        const fs::file_status status = fs::status(path, ignored);
        if (fs::is_directory(status)) return add_folder(path);
        FP_REQUIRE(fs::exists(status), Exit::data, printable(word), ": no such file or folder");
        if (is_other(status) || named_as_image(path) || !is_text(head_of(path))) return add(word);
        FP_REQUIRE(plain(path.extension().string()) != ".csv", Exit::usage, printable(word),
                   ": is a table, not a list of paths; --data csv:", printable(word), " opens it");
        std::istringstream lines(read_file(path, kListBytes));
        add_list(lines, shown(path));
    }

    void add_list(std::istream& in, const std::string& name) {
        int64_t number = 0;
        for (std::string line; next_line(in, line, name, number + 1);) {
            ++number;
            if (line.ends_with('\r')) line.pop_back();
            if (line.empty()) continue;
            std::error_code ignored;
            FP_REQUIRE(missing_allowed_ || fs::exists(line, ignored), Exit::data, name, ":", number, ": ",
                       printable(line), ": no such file");
            FP_REQUIRE(!fs::is_directory(line, ignored), Exit::data, name, ":", number, ": ", printable(line),
                       ": is a folder");
            add(line);
        }
    }

    void add_notes() {
        if (const std::string skipped = others_.note(); !skipped.empty()) data_.notes.push_back(skipped);
        if (again_ > 0) data_.notes.push_back(text(again_, " paths are named more than once"));
    }

private:
    void add(const std::string& image) {
        const bool fresh = seen_.insert(fs::path(image).lexically_normal().string()).second;
        again_ += !fresh;
        if (fresh) data_.samples.push_back({.image = image, .label = -1, .unit = image});
        FP_REQUIRE(data_.samples.size() <= kMostImages, Exit::data, "more than ", kMostImages, " images");
    }

    void add_folder(const fs::path& folder) {
        std::vector<std::string> images;
        for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator();
             ++entry) {
            if (entry->path().filename().string().starts_with('.')) {
                if (entry->is_directory()) entry.disable_recursion_pending();
                continue;
            }
            if (!entry->is_regular_file()) continue;
            if (named_as_image(entry->path()) || begins_as_image(head_of(entry->path())))
                images.push_back(entry->path().string());
            else
                others_.add(entry->path());
        }
        std::ranges::sort(images);
        for (const std::string& image : images) add(image);
    }

    Dataset& data_;
    const bool missing_allowed_;
    std::set<std::string> seen_;  // paths without . and ..
    OtherFiles others_;
    int64_t again_ = 0;
};

}  // namespace

Dataset unlabelled_images(const std::vector<std::string>& words, std::istream& in, bool missing_allowed) {
    Dataset data{.name = printable(list(words), 4096)};
    try {
        Collector images(data, missing_allowed);
        for (const std::string& word : words)
            if (word == "-")
                images.add_list(in, "standard input");
            else
                images.add_word(word);
        images.add_notes();
    } catch (const fs::filesystem_error& error) {
        fail_with(Exit::data, error.what());
    }
    FP_REQUIRE(!data.samples.empty(), Exit::data, data.name, ": no image");
    return data;
}

}  // namespace fp
