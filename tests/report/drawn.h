// Pages as a browser draws them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "engine/report/page.h"
#include "kernels/error.h"
#include "tests/report/samples.h"
#include "tests/temporary_folder.h"

namespace fp::testing {

inline size_t count(const std::string& text, const std::string& what) {
    size_t n = 0;
    for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += what.size()) ++n;
    return n;
}

// What a browser makes of a page. Skipped where there is none.
class Drawn : public ::testing::Test {
protected:
    const std::string render_ = "'" + (source_dir() / "tests/report/render").string() + "' ";

    void SetUp() override {
        if (WEXITSTATUS(std::system(render_.c_str())) == 77)
            GTEST_SKIP() << "no Chromium (Debian: chromium) to draw the pages";
    }

    // The inside of <main>, with white space collapsed.
    std::string drawn(const nlohmann::ordered_json& document) {
        const TemporaryFolder folder;
        write_file(folder / "page.html", report_page(document));
        const std::string command = render_ + folder.path().string() + " > " + (folder / "dom").string();
        FP_CHECK(std::system(command.c_str()) == 0, "failed: ", command);
        const std::string dom = read_file(folder / "dom", 16 << 20);
        const size_t begin = dom.find("<main>"), end = dom.find("</main>");
        FP_CHECK(begin < end && end != dom.npos, "no <main> in ", dom.size(), " bytes");
        std::string out;
        for (const char c : dom.substr(begin, end - begin)) {
            const bool space = std::isspace(static_cast<unsigned char>(c));
            if (!space) out += c;
            if (space && !out.ends_with(' ')) out += ' ';
        }
        return out;
    }
};

inline void expect_rows(const std::string& page, const std::vector<std::string>& rows) {
    for (const std::string& row : rows) EXPECT_THAT(page, ::testing::HasSubstr(row));
    for (const char* wrong : {"undefined", "NaN", "null", "Infinity", "[object", "could not be drawn"})
        EXPECT_THAT(page, ::testing::Not(::testing::HasSubstr(wrong)));
}

}  // namespace fp::testing
