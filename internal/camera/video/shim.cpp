#include "shim.h"

#include "guard.h"

#include <memory>
#include <stdexcept>
#include <vector>

#include <opencv2/videoio.hpp>

char *video_open(const char *name, int reader, int limit, void **capture) {
    return guard([&] {
        std::vector<int> params;
        if (limit > 0) {
            params = {cv::CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv::CAP_PROP_READ_TIMEOUT_MSEC, limit};
        }
        std::unique_ptr<cv::VideoCapture> c(new cv::VideoCapture());
        if (!c->open(name, reader, params)) {
            throw std::runtime_error("OpenCV cannot open it");
        }
        *capture = c.release();
    });
}

char *video_close(void *capture) {
    return guard([&] { delete static_cast<cv::VideoCapture *>(capture); });
}

char *video_read(void *capture, void *mat) {
    return guard([&] { static_cast<cv::VideoCapture *>(capture)->read(*static_cast<cv::Mat *>(mat)); });
}

char *video_position(void *capture, double *position) {
    return guard([&] { *position = static_cast<cv::VideoCapture *>(capture)->get(cv::CAP_PROP_POS_MSEC); });
}
