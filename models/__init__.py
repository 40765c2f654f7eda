"""What the portal remembers: tables and pure predicates, one module per aggregate."""

from models.accounts import Account, CalendarFeed, PhoneCode, RoleRegion
from models.attendance import AttendanceMark, AttendanceUnlock, SessionRoll
from models.audit import AuditEvent, AuditSeal
from models.certificates import Certificate, CertificateArchive, CertificateChange, CertificateCounter, CertificateEvent, PushBatch
from models.changes import PlanChange, Withdrawal
from models.corrections import CheckEvent, FormerPhoto, PersonCheck
from models.dictionaries import Education, Occupation, OccupationLevel, Parameter, Region, Remark, SkillLevel, Title
from models.drafts import RegistrationDraft, SpentCaptcha
from models.exams import ExamPlan, ExamRoom, ScoreReport, Sitting, TicketPrint
from models.files import StoredFile
from models.filings import Filing, Room, TeacherOccupation, TeacherPaper
from models.form_drafts import FormDraft
from models.invoices import GatewayToken, Invoice, InvoiceProfile, InvoiceSeller
from models.jobs import Job, Timer
from models.layouts import PaperLayout
from models.merchants import Merchant
from models.notices import Notice, NoticeRead, NoticeReader, NoticeText
from models.orders import Order, Payment
from models.parties import Authority, Enterprise, Institution, Teacher
from models.photos import PhotoPart, PhotoReading, PhotoUpload
from models.plans import PlanDay, PlanEnterprise, PlanOccupation, TrainingPlan
from models.readings import LicenceReading
from models.reconciliations import BillDifference, BillEntry, Reconciliation
from models.refunds import Refund, RefundEnrolment
from models.reviews import BulkRun, ReviewEvent, SubmissionSnapshot
from models.rosters import Enrolment, ImportBatch, RosterHeading, RosterUpload
from models.scores import ScoreChange, ScoreCorrection, ScoreCorrectionLine, ScoreIntake
from models.sign_ins import RecoveryCode, SecondFactor, SignIn
from models.signing import SigningKey
from models.waitlist import WaitlistEntry

__all__ = [
    "Account", "AttendanceMark", "AttendanceUnlock", "AuditEvent", "AuditSeal", "Authority", "BillDifference",
    "BillEntry", "BulkRun", "CalendarFeed", "Certificate", "CertificateArchive", "CertificateChange",
    "CertificateCounter", "CertificateEvent", "CheckEvent", "Education", "Enrolment", "Enterprise", "ExamPlan",
    "ExamRoom", "Filing", "FormDraft", "FormerPhoto", "GatewayToken", "ImportBatch", "Institution", "Invoice",
    "InvoiceProfile", "InvoiceSeller", "Job", "LicenceReading", "Merchant", "Notice", "NoticeRead", "NoticeReader",
    "NoticeText", "Occupation", "OccupationLevel", "Order", "PaperLayout", "Parameter", "Payment", "PersonCheck",
    "PhoneCode", "PhotoPart", "PhotoReading", "PhotoUpload", "PlanChange", "PlanDay", "PlanEnterprise",
    "PlanOccupation", "PushBatch", "Reconciliation", "RecoveryCode", "Refund", "RefundEnrolment", "Region",
    "RegistrationDraft", "Remark", "ReviewEvent", "RoleRegion", "Room", "RosterHeading", "RosterUpload", "ScoreChange",
    "ScoreCorrection", "ScoreCorrectionLine", "ScoreIntake", "ScoreReport", "SecondFactor", "SessionRoll", "SignIn",
    "SigningKey", "Sitting", "SkillLevel", "SpentCaptcha", "StoredFile", "SubmissionSnapshot", "Teacher",
    "TeacherOccupation", "TeacherPaper", "TicketPrint", "Timer", "Title", "TrainingPlan", "WaitlistEntry", "Withdrawal",
]
