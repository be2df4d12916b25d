"""Reference swappers, written against fsbench's public names only, as a third party would. A line for each module."""

from reference_models import baselines as baselines
from reference_models import cyclegan as cyclegan
from reference_models import external as external
from reference_models import gan_mask as gan_mask
from reference_models import knn as knn
from reference_models import one_shot as one_shot
from reference_models import prnet as prnet
from reference_models import recursive as recursive
from reference_models import style as style
