// SPDX-License-Identifier: MIT
#include "server/http/qr_code.h"

#include <memory>
#include <stdexcept>
#include <vector>

#include <png.h>
#include <qrencode.h>

namespace server::http {
namespace {

constexpr int quiet = 4;          // modules of white around (ISO 18004)
constexpr int png_scale = 8;      // pixels a module

class Matrix {
public:
    explicit Matrix(std::string_view text)
        : code_{QRcode_encodeString(std::string{text}.c_str(), 0, QR_ECLEVEL_M, QR_MODE_8, 1), QRcode_free} {
        if (!code_) throw std::runtime_error{"a text too long for a QR code"};
    }
    int size() const { return code_->width + 2 * quiet; }
    bool is_dark(int x, int y) const {
        x -= quiet;
        y -= quiet;
        const int width = code_->width;
        return x >= 0 && y >= 0 && x < width && y < width && (code_->data[y * width + x] & 1U) != 0;
    }

private:
    std::unique_ptr<QRcode, void (*)(QRcode*)> code_;
};

}  // namespace

std::string qr_svg(std::string_view text) {
    const Matrix matrix{text};
    const std::string size = std::to_string(matrix.size());
    std::string svg = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 " + size + " " + size +
                      "' shape-rendering='crispEdges'><path fill='#fff' d='M0 0h" + size + "v" + size + "H0z'/><path d='";
    for (int y = 0; y < matrix.size(); ++y)
        for (int x = 0; x < matrix.size(); ++x)
            if (matrix.is_dark(x, y)) svg += "M" + std::to_string(x) + " " + std::to_string(y) + "h1v1h-1z";
    return svg + "'/></svg>";
}

std::string qr_png(std::string_view text) {
    const Matrix matrix{text};
    const int side = matrix.size() * png_scale;
    std::vector<png_byte> pixels(static_cast<std::size_t>(side) * side);
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) pixels[static_cast<std::size_t>(y) * side + x] = matrix.is_dark(x / png_scale, y / png_scale) ? 0 : 255;
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = image.height = static_cast<png_uint_32>(side);
    image.format = PNG_FORMAT_GRAY;
    png_alloc_size_t bytes = 0;
    if (!png_image_write_get_memory_size(image, bytes, 0, pixels.data(), 0, nullptr)) throw std::runtime_error{"PNG: no size"};
    std::string png(bytes, '\0');
    if (!png_image_write_to_memory(&image, png.data(), &bytes, 0, pixels.data(), 0, nullptr)) throw std::runtime_error{"PNG: not written"};
    png.resize(bytes);
    return png;
}

std::string qr_text(std::string_view text) {
    const Matrix matrix{text};
    std::string lines;
    for (int y = 0; y < matrix.size(); y += 2) {
        for (int x = 0; x < matrix.size(); ++x) {
            const bool upper = matrix.is_dark(x, y), lower = matrix.is_dark(x, y + 1);
            // Terminals are light on dark: what is light in the code is drawn.
            lines += upper ? (lower ? " " : "\u2584") : (lower ? "\u2580" : "\u2588");
        }
        lines += '\n';
    }
    return lines;
}

}  // namespace server::http
