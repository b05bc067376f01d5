"""One connection to the API: every request has a timeout, every failure says what to do.

Transient failures (no connection, no answer in time, 429, 5xx) are repeated with growing pauses.
Requests that create something are never simply repeated, because the lost answer may have been a
success: `find_or_create` looks first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote_plus

import kfp_server_api as api
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    SSLError,
)

from pipelines.cluster.errors import (
    ClusterError,
    ConflictError,
    GarbledError,
    NotFoundError,
    TransientError,
    first_line,
    server_message,
    status_remedy,
)
from pipelines.cluster.settings import Settings

T = TypeVar("T")

PAUSES_S = (0.5, 1.0, 2.0)
PAGE_SIZE = 100


class StrictClient(api.ApiClient):  # type: ignore[misc]
    """The generated client, which turns an answer that is no JSON into an empty object.

    An empty list of pipelines and a login page would look the same; here the latter is an error.
    """

    def deserialize(self, response: Any, response_type: Any) -> Any:
        """Refuse anything but a JSON object, then build the model."""
        if not isinstance(json.loads(response.data), dict):
            raise ValueError("not a JSON object")
        return super().deserialize(response, response_type)


class Connection:
    """The services of one server.

    Args:
        settings: address, credentials and timeouts.

    Raises:
        ClusterError: nothing answers there, it is no KFP API, or a namespace is needed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = StrictClient(_configuration(settings))
        self.pipelines = api.PipelineServiceApi(self.client)
        self.uploads = api.PipelineUploadServiceApi(self.client)
        self.experiments = api.ExperimentServiceApi(self.client)
        self.runs = api.RunServiceApi(self.client)
        self.schedules = api.RecurringRunServiceApi(self.client)
        self._check()

    def once(self, what: str, operation: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """One request.

        Args:
            what: the request in words, for messages ("list pipelines").
            operation: method of one of the services.
            arguments: its arguments; `named` likewise, without those that are None.
            named: see `arguments`.

        Returns:
            The answer as the generated model.

        Raises:
            ClusterError: anything went wrong.
        """
        seconds = self.settings.timeout_s
        given = {name: value for name, value in named.items() if value is not None}
        try:
            return operation(*arguments, **given, _request_timeout=(seconds, seconds))
        except api.ApiException as error:
            raise self._refused(what, error) from error
        except HTTPError as error:
            raise self._unanswered(what, error) from error
        except OSError as error:
            raise ClusterError(
                f"cannot {what}: {first_line(error)}", "check the files that KFP_TOKEN_FILE names"
            ) from error
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            # The generated code trips over answers that do not fit its models.
            raise self._garbled(what) from error

    def call(self, what: str, operation: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """A request that may be repeated without harm: `once`, again after transient failures."""
        for pause in PAUSES_S:
            try:
                return self.once(what, operation, *arguments, **named)
            except TransientError:
                time.sleep(pause)
        return self.once(what, operation, *arguments, **named)

    def listed(
        self,
        what: str,
        operation: Callable[..., Any],
        field: str,
        name: tuple[str, str],
        **named: Any,
    ) -> Iterator[Any]:
        """All entries whose key equals a value, over all pages.

        Args:
            what: the request in words.
            operation: a list method.
            field: attribute of the answer that holds the entries.
            name: key and value to select by.
            named: further arguments of the operation.

        Yields:
            Entries.
        """
        token: str | None = None
        while True:
            answer = self.call(
                what,
                operation,
                filter=_equals(*name),
                page_size=PAGE_SIZE,
                page_token=token,
                **named,
            )
            yield from getattr(answer, field) or []
            token = answer.next_page_token
            if not token:
                return

    def find_or_create(
        self,
        find: Callable[[], T | None],
        create: Callable[[], T],
        *,
        repeat_unsure: bool = True,
    ) -> T:
        """What `find` returns, else what `create` makes; looks again before every new attempt.

        Args:
            find: looks for it.
            create: one request that makes it.
            repeat_unsure: make it again although an earlier request may still be under way: right
                where names are unique on the server, wrong for runs.

        Raises:
            ClusterError: neither succeeds.
        """
        failure: TransientError | ConflictError | None = None
        for pause in (*PAUSES_S, 0.0):
            found = find()
            if found is not None:
                return found
            if isinstance(failure, TransientError) and failure.unsure and not repeat_unsure:
                time.sleep(pause)
                continue
            try:
                return create()
            except (TransientError, ConflictError) as error:
                failure = error
                time.sleep(pause)
        found = find()
        if found is not None:
            return found
        assert failure is not None  # noqa: S101  every attempt that returned nothing has failed
        raise failure

    def identity(self, what: str, value: str | None) -> str:
        """An id that an answer must hold.

        Raises:
            GarbledError: it does not.
        """
        if not value:
            raise self._garbled(what)
        return value

    def _check(self) -> None:
        what = "reach the Kubeflow Pipelines API"
        try:
            health = self.call(what, api.HealthzServiceApi(self.client).healthz_service_get_healthz)
        except NotFoundError as error:
            raise ClusterError(
                f"{self.settings.host} answers, but is no Kubeflow Pipelines API",
                "KFP_HOST is the address before /apis/v2beta1; on a full Kubeflow it ends in "
                "/pipeline",
            ) from error
        if health.multi_user and self.settings.namespace is None:
            raise ClusterError(
                f"{self.settings.host} serves several users, and KFP_NAMESPACE is not set",
                "export KFP_NAMESPACE=<your profile's namespace>",
            )

    def _refused(self, what: str, error: api.ApiException) -> ClusterError:
        status = int(error.status or 0)
        if not status:  # raised by the generated client itself, about a date it cannot read
            return self._garbled(what)
        said = server_message(error.body)
        message = (
            f"cannot {what}: {self.settings.host} answers {status}{': ' if said else ''}{said}"
        )
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT) or status >= 500:
            unsure = status in (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
            return TransientError(
                message,
                "it was asked several times; see the server's log (`kubectl logs -n unstained "
                "deploy/ml-pipeline`) and run the same command again",
                unsure=unsure,
            )
        kinds: dict[int, type[ClusterError]] = {409: ConflictError, 404: NotFoundError}
        return kinds.get(status, ClusterError)(message, status_remedy(status))

    def _unanswered(self, what: str, error: HTTPError) -> ClusterError:
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        if isinstance(reason, SSLError):
            return ClusterError(
                f"cannot {what}: no trusted connection to {self.settings.host} "
                f"({first_line(reason)})",
                "name the cluster's certificate authority with KFP_CA_CERT, or write http:// if "
                "the server speaks plain HTTP",
            )
        if isinstance(reason, NewConnectionError | ConnectTimeoutError):
            return TransientError(
                f"cannot {what}: nothing answers at {self.settings.host} ({first_line(reason)})",
                "check KFP_HOST and that the server or its `kubectl port-forward` is running",
                unsure=False,
            )
        return TransientError(
            f"cannot {what}: {self.settings.host} gave no whole answer within "
            f"{self.settings.timeout_s:g} s ({first_line(reason)})",
            "check the server's load, raise KFP_TIMEOUT_S, and run the same command again",
            unsure=True,
        )

    def _garbled(self, what: str) -> GarbledError:
        return GarbledError(
            f"cannot {what}: the answer of {self.settings.host} is not one of the Kubeflow "
            "Pipelines API",
            "check that KFP_HOST is the API and no login page or other service",
        )


def _configuration(settings: Settings) -> api.Configuration:
    configuration = api.Configuration(host=settings.host)
    # Redirects lead to login pages, and repeating is decided here: urllib3 shall do neither.
    configuration.retries = urllib3.Retry(0, redirect=False)
    if settings.ca_cert:
        configuration.ssl_ca_cert = str(settings.ca_cert)
    if settings.token or settings.token_file:
        configuration.api_key["authorization"] = settings.token or "read at each request"
        configuration.api_key_prefix["authorization"] = "Bearer"
    if settings.token_file:
        token_file = settings.token_file

        def renew(configuration: api.Configuration) -> None:
            # Projected service account tokens last an hour, a training run longer.
            configuration.api_key["authorization"] = token_file.read_text().strip()

        configuration.refresh_api_key_hook = renew
    return configuration


def _equals(key: str, value: str) -> str:
    predicate = {"operation": "EQUALS", "key": key, "string_value": value}
    # The server unescapes the filter once more after HTTP has done so: '%' and '+' in names.
    return quote_plus(json.dumps({"predicates": [predicate]}))
