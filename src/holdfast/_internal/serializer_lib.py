"""What `serializer_lib` holds elsewhere."""

from holdfast.sdk.serializers import PydanticSerializer, Serializer

__all__ = ["PydanticSerializer", "Serializer"]
