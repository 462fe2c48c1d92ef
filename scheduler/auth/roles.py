"""Which role may make which call. A method that is not in the table can be called by nobody.

What a caller may touch inside a call (own city, own enterprise) is the scope's business, not
this table's.
"""

from collections.abc import Mapping
from typing import Final

from scheduler.domain.principal import Role
from scheduler.errors import Forbidden

_ALL: Final = frozenset(Role)
_PEOPLE: Final = frozenset(Role) - {Role.AGENT}
_ENTERPRISE: Final = frozenset({Role.ENTERPRISE_MEMBER, Role.ENTERPRISE_ADMIN})
_OPERATOR: Final = frozenset({Role.OPERATOR})
_AGENT: Final = frozenset({Role.AGENT})
_CITY_ADMIN: Final = frozenset({Role.CITY_ADMIN})
_CITY: Final = frozenset({Role.CITY_ADMIN, Role.OPERATOR})
_CITY_AND_AUDIT: Final = frozenset({Role.CITY_ADMIN, Role.OPERATOR, Role.AUDITOR})
_ADMINS: Final = frozenset({Role.ENTERPRISE_ADMIN, Role.CITY_ADMIN, Role.OPERATOR})

#: Full method name -> roles that may call it.
ROLES: Final[Mapping[str, frozenset[Role]]] = {
    f"/corridor.v1.{service}/{method}": roles
    for service, methods in {
        "JobService": {
            "SubmitJobs": _ENTERPRISE | _OPERATOR,
            "QuoteJobs": _PEOPLE,
            "GetJob": _PEOPLE,
            "ListJobs": _PEOPLE,
            "CancelJobs": _ENTERPRISE | _CITY,
            "HoldJobs": _ENTERPRISE | _CITY,
            "ReleaseJobs": _ENTERPRISE | _CITY,
            "GrantEmergency": _OPERATOR,
            "WatchJobs": _PEOPLE,
            "ExplainJob": _PEOPLE,
            "ReadJobLogs": _PEOPLE,
        },
        "QuotaService": {
            "GetCityQuota": _PEOPLE,
            "ListCityQuotas": _PEOPLE,
            "UpdateCityQuota": _OPERATOR,
            "GetEnterpriseQuota": _PEOPLE,
            "ListEnterpriseQuotas": _PEOPLE,
            "UpdateEnterpriseQuota": _CITY,
            "GetFlavorQuota": _PEOPLE,
            "ListFlavorQuotas": _PEOPLE,
            "UpdateFlavorQuota": _OPERATOR,
            "ListQuotaChanges": _PEOPLE,
            "CancelQuotaChange": _CITY,
            "ListStopStates": _PEOPLE,
            "SetStopState": _CITY,
            "ListUsage": _PEOPLE,
            "GetBudget": _PEOPLE,
            "ListBudgets": _PEOPLE,
            "UpdateBudget": _CITY,
            "GetBudgetSettings": _PEOPLE,
            "UpdateBudgetSettings": _CITY,
            "VerifyBudgets": _CITY_AND_AUDIT,
            "LendHours": _CITY_ADMIN,
            "AcceptLoan": _CITY_ADMIN,
            "DeclineLoan": _CITY_ADMIN,
            "ListLoans": _CITY_AND_AUDIT,
            "ForgiveLoan": _OPERATOR,
            "GetLoanRule": _CITY_AND_AUDIT,
            "SimulateQuotas": _CITY_AND_AUDIT,
            "UpdateLoanRule": _CITY_ADMIN,
        },
        "SubsidyService": {
            "ListProgrammes": _PEOPLE,
            "ListFunds": _CITY_AND_AUDIT,
            "AppropriateFund": _CITY,
            "OpenFund": _CITY,
            "LowerFund": _CITY,
            "CloseFund": _CITY,
            "ListBookMonths": _CITY_AND_AUDIT,
            "CloseBookMonth": _OPERATOR,
            "IssueVouchers": _CITY,
            "GetVoucher": _PEOPLE,
            "ListVouchers": _PEOPLE,
            "RevokeVoucher": _CITY,
            "GrantHours": _CITY,
            "ListHourGrants": _PEOPLE,
            "ListWallets": _PEOPLE,
            "TopUpWallet": _OPERATOR,
            "SetWalletCredit": _OPERATOR,
            "ListTransfers": _CITY_AND_AUDIT,
            "GetRunCharge": _PEOPLE,
            "CorrectCharge": _CITY,
            "WriteOffDebt": _OPERATOR,
            "ClawBackSubsidy": _CITY,
            "BlockEnterprise": _CITY,
            "VerifyLedger": _CITY_AND_AUDIT,
            "ListLedgerDigests": _CITY_AND_AUDIT,
            "GetLedgerDigest": _CITY_AND_AUDIT,
            "VerifyLedgerHeads": _CITY_AND_AUDIT,
            "ListAlerts": _PEOPLE,
            "ForecastFunds": _CITY_AND_AUDIT,
            "SimulateRule": _CITY_AND_AUDIT,
            "ListChangeRequests": _CITY_AND_AUDIT,
            "GetChangeRequest": _CITY_AND_AUDIT,
            "ApproveChangeRequest": _CITY,
            "DenyChangeRequest": _CITY,
            "WithdrawChangeRequest": _CITY,
            "GetProgramme": _PEOPLE,
            "ListRuleVersions": _PEOPLE,
            "CreateProgramme": _CITY,
            "ProposeRuleVersion": _CITY,
            "EndProgramme": _CITY,
            "CreateStatement": _CITY,
            "GetStatement": _PEOPLE,
            "ListStatements": _PEOPLE,
            "IssueStatement": _CITY,
            "PayStatement": _CITY,
            "DisputeStatement": _ADMINS,
            "ReadStatementFile": _PEOPLE,
        },
        "CenterService": {
            "GetCenter": _ALL,
            "ListCenters": _ALL,
            "CordonCenter": _OPERATOR,
            "DrainCenter": _OPERATOR,
            "ResumeCenter": _OPERATOR,
            "TakeInventory": _OPERATOR,
            "ReconcileCenter": _OPERATOR,
            "ListReconciliations": _CITY_AND_AUDIT,
            "ListDifferences": _CITY_AND_AUDIT,
            "ResolveDifference": _OPERATOR,
            "ListPrices": _PEOPLE,
            "SetPrices": _OPERATOR,
            "ResolveRun": _OPERATOR,
            "SetFlavorDomestic": _OPERATOR,
        },
        "AdapterService": {
            "Connect": _AGENT,
        },
        "IdentityService": {
            "WhoAmI": _ALL,
            "ListCities": _ALL,
            "CreateEnterprise": _CITY,
            "ListEnterprises": _PEOPLE,
            "CreateToken": _ADMINS,
            "ListTokens": _ADMINS | {Role.AUDITOR},
            "RevokeToken": _ADMINS,
            "ListAuditEvents": _CITY_AND_AUDIT,
            "ListReplicas": _OPERATOR | {Role.AUDITOR},
            "ListEnterpriseFacts": _PEOPLE,
            "AddEnterpriseFact": _CITY,
            "EndEnterpriseFact": _CITY,
        },
    }.items()
    for method, roles in methods.items()
}
#: Reflection shows no data, but only to callers who are known.
ROLES_BY_SERVICE: Final[Mapping[str, frozenset[Role]]] = {
    "grpc.reflection.v1alpha.ServerReflection": _ALL,
}
#: Services that need no identity: probes have none.
OPEN_SERVICES: Final = frozenset({"grpc.health.v1.Health"})


def service_of(method: str) -> str:
    """Return the service part of ``/package.Service/Method``."""
    return method[1:].partition("/")[0]


def check(method: str, role: Role) -> None:
    """Raise ``Forbidden`` unless ``role`` may call ``method`` (full name)."""
    allowed = ROLES.get(method) or ROLES_BY_SERVICE.get(service_of(method), frozenset())
    if role not in allowed:
        who = ", ".join(sorted(allowed)) or "nobody"
        raise Forbidden(
            f"role {role} may not call {method.rpartition('/')[2]}; it takes one of: {who}",
            reason="ROLE_NOT_ALLOWED",
            metadata={"role": str(role), "method": method},
        )
