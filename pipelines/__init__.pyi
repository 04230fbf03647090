"""The public names of `pipelines`, for type checkers and the API reference."""

from pipelines.corruptions import corrupt as corrupt
from pipelines.data.encoded import EncodedImages as EncodedImages
from pipelines.data.image_array import as_images as as_images
from pipelines.data.image_data import ImageData as ImageData
from pipelines.data.load import load as load
from pipelines.data.load import load_test_part as load_test_part
from pipelines.images.resizing import resize_to_square as resize_to_square
from pipelines.preprocessing import channel_statistics as channel_statistics
from pipelines.preprocessing import make_preprocess as make_preprocess
from pipelines.preprocessing import normalization as normalization
from pipelines.views.augment import make_augment as make_augment
from pipelines.views.policies import POLICIES as POLICIES
from pipelines.views.policies import policy_for as policy_for
from pipelines.views.policy import ViewPolicy as ViewPolicy
from pipelines.views.stream import device_views as device_views
from pipelines.views.stream import steps_per_epoch as steps_per_epoch
from pipelines.views.stream import train_views as train_views
